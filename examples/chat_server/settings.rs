//! The settings of the accounts file. Each has a default, and a wrong one ends the start.

use std::time::Duration;

use chrono::TimeDelta;
use keyfob::Shape;
use keyfob::core::factor_policy::{FactorPolicy, method};
use keyfob::wire::rocketchat::Profile;
use keyfob::wire::{awx, mattermost, zitadel};
use serde::Deserialize;

use crate::accounts_file::object;

/// How the server behaves.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    #[serde(deserialize_with = "object")]
    mattermost: MattermostSettings,
    #[serde(deserialize_with = "object")]
    rocketchat: RocketchatSettings,
    #[serde(deserialize_with = "object")]
    zitadel: ZitadelSettings,
    #[serde(deserialize_with = "object")]
    awx: AwxSettings,
    revocation_bound_ms: u32,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MattermostSettings {
    enable_user_access_tokens: bool,
    maximum_personal_access_token_lifetime_days: u32,
    token_format: TokenFormat,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RocketchatSettings {
    wire: RocketchatWire,
    two_factor_enabled: bool,
    remember_for_seconds: u32,
    password_fallback: bool,
    email_code_seconds: u32,
    max_email_attempts: u32,
    on_deactivation: OnDeactivation,
    token_format: TokenFormat,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ZitadelSettings {
    default_limit: u32,
    max_limit: u32,
    token_format: TokenFormat,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AwxSettings {
    access_token_expire_seconds: u64,
    allow_oauth2_for_external_users: bool,
    token_format: TokenFormat,
}

/// What newly issued tokens look like on a product's face.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TokenFormat {
    Native,
    Product,
}

impl TokenFormat {
    const fn shape(&self, product: Shape) -> Option<Shape> {
        match self {
            Self::Native => None,
            Self::Product => Some(product),
        }
    }
}

#[derive(Debug, Deserialize)]
enum RocketchatWire {
    #[serde(rename = "8")]
    Eight,
    #[serde(rename = "legacy")]
    Legacy,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnDeactivation {
    Keep,
    Wipe,
}

impl Settings {
    /// What Mattermost's administrator would set.
    pub(crate) const fn mattermost(&self) -> mattermost::Settings {
        let MattermostSettings {
            enable_user_access_tokens: enabled,
            maximum_personal_access_token_lifetime_days: maximum_lifetime_days,
            ..
        } = self.mattermost;
        mattermost::Settings { enabled, maximum_lifetime_days }
    }

    /// What new tokens of Mattermost's face look like.
    pub(crate) const fn mattermost_shape(&self) -> Option<Shape> {
        self.mattermost.token_format.shape(Shape::MATTERMOST)
    }

    /// What new tokens of Rocket.Chat's face look like.
    pub(crate) const fn rocketchat_shape(&self) -> Option<Shape> {
        self.rocketchat.token_format.shape(Shape::ROCKET_CHAT)
    }

    /// What AWX's administrator would set.
    pub(crate) const fn awx(&self) -> awx::Settings {
        awx::Settings {
            expire_seconds: self.awx.access_token_expire_seconds,
            external_users: self.awx.allow_oauth2_for_external_users,
        }
    }

    /// What new tokens of AWX's face look like.
    pub(crate) const fn awx_shape(&self) -> Option<Shape> {
        self.awx.token_format.shape(Shape::AWX)
    }

    /// What Zitadel's administrator would set.
    pub(crate) const fn zitadel(&self) -> zitadel::Settings {
        let ZitadelSettings { default_limit, max_limit, .. } = self.zitadel;
        zitadel::Settings { default_limit, max_limit }
    }

    /// What new tokens of Zitadel's face look like.
    pub(crate) const fn zitadel_shape(&self) -> Option<Shape> {
        self.zitadel.token_format.shape(Shape::ZITADEL)
    }

    /// What Rocket.Chat's face asks for.
    pub(crate) fn rocketchat_factors(&self) -> FactorPolicy {
        let settings = &self.rocketchat;
        let mut policy = FactorPolicy::rocketchat();
        if !settings.two_factor_enabled {
            policy.asked_for.clear();
        }
        if !settings.password_fallback {
            policy = policy.without(method::PASSWORD);
        }
        policy.remember_for = Some(TimeDelta::seconds(settings.remember_for_seconds.into()));
        policy
    }

    /// Which line of its servers is spoken.
    pub(crate) const fn rocketchat_profile(&self) -> Profile {
        match self.rocketchat.wire {
            RocketchatWire::Eight => Profile::Eight,
            RocketchatWire::Legacy => Profile::Legacy,
        }
    }

    /// What becomes of the tokens of an account that is deactivated there.
    pub(crate) const fn on_deactivation(&self) -> OnDeactivation {
        self.rocketchat.on_deactivation
    }

    /// How long its mailed codes live, and how many wrong answers they take.
    pub(crate) fn rocketchat_codes(&self) -> (TimeDelta, u32) {
        let settings = &self.rocketchat;
        (TimeDelta::seconds(settings.email_code_seconds.into()), settings.max_email_attempts)
    }

    /// How long another process may go by what was before a change of this one.
    pub(crate) fn revocation_bound(&self) -> Duration {
        Duration::from_millis(self.revocation_bound_ms.into())
    }

    /// # Errors
    ///
    /// A sentence that names the field.
    pub(crate) fn check(&self) -> Result<(), String> {
        let within = |field: &str, value: u32, least: u32, most: u32| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(format!("settings.{field}: {value} is not within {least} to {most}"))
            }
        };
        let days = self.mattermost.maximum_personal_access_token_lifetime_days;
        let field = "mattermost.maximum_personal_access_token_lifetime_days";
        within(field, days, 0, LONGEST_LIFETIME_DAYS)?;
        let zitadel = &self.zitadel;
        within("zitadel.max_limit", zitadel.max_limit, 1, LARGEST_PAGE)?;
        within("zitadel.default_limit", zitadel.default_limit, 1, zitadel.max_limit)?;
        if self.awx.access_token_expire_seconds == 0 {
            return Err("settings.awx.access_token_expire_seconds: 0 is no life".to_owned());
        }
        let rocketchat = &self.rocketchat;
        let code_seconds = rocketchat.email_code_seconds;
        within("rocketchat.email_code_seconds", code_seconds, 1, LONGEST_CODE_SECONDS)?;
        // The count of all of an owner's answers would lock before that, and it would say nothing.
        let most = self.rocketchat_factors().attempts;
        within("rocketchat.max_email_attempts", rocketchat.max_email_attempts, 1, most)?;
        // Below, nodes would ask the store all the time; above, revoking would be no promise.
        within("revocation_bound_ms", self.revocation_bound_ms, 200, 30_000)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mattermost: MattermostSettings::default(),
            rocketchat: RocketchatSettings::default(),
            zitadel: ZitadelSettings::default(),
            awx: AwxSettings::default(),
            revocation_bound_ms: 2000,
        }
    }
}

impl Default for MattermostSettings {
    fn default() -> Self {
        Self {
            enable_user_access_tokens: true,
            maximum_personal_access_token_lifetime_days: 0,
            token_format: TokenFormat::Native,
        }
    }
}

impl Default for RocketchatSettings {
    fn default() -> Self {
        Self {
            wire: RocketchatWire::Eight,
            two_factor_enabled: true,
            remember_for_seconds: 1800,
            password_fallback: true,
            email_code_seconds: 3600,
            max_email_attempts: 5,
            on_deactivation: OnDeactivation::Keep,
            token_format: TokenFormat::Native,
        }
    }
}

impl Default for ZitadelSettings {
    fn default() -> Self {
        Self { default_limit: 100, max_limit: 1000, token_format: TokenFormat::Native }
    }
}

impl Default for AwxSettings {
    fn default() -> Self {
        Self {
            access_token_expire_seconds: 31_536_000_000,
            allow_oauth2_for_external_users: false,
            token_format: TokenFormat::Native,
        }
    }
}

/// A day: nobody waits longer for a mail.
const LONGEST_CODE_SECONDS: u32 = 24 * 60 * 60;

/// A hundred years, as Mattermost has it.
const LONGEST_LIFETIME_DAYS: u32 = 36_500;

/// No store reads larger pages.
const LARGEST_PAGE: u32 = keyfob::ports::store::Query::LARGEST_PAGE;
