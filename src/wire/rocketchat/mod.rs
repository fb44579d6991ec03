//! Rocket.Chat's REST API, as its own clients speak it.
//!
//! Here is what every route of it shares: whom a request comes from, and the second factor that
//! some demand. Both are for a host's own routes too.

mod caller;
mod failure;
mod step_up;

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;

use crate::core::factor::{Operation, TwoFactorProof};
use crate::core::scope::Scope;
use crate::http::BearerLayer;
use crate::ports::directory::Directory;
use crate::service::two_factor::{Ask, TwoFactor};

pub use self::caller::Caller;
pub use self::failure::Failure;

/// Rocket.Chat's face of a service: requests that present `X-Auth-Token` with `X-User-Id`, and
/// `x-2fa-code` with `x-2fa-method` where a second factor is due.
///
/// A request is asked for its second factor after it was found to be well-formed and before the
/// host says whether it may, as the product does: whoever has no factor learns nothing else.
#[derive(Debug)]
pub struct RocketChat<S: Scope> {
    layer: BearerLayer<S>,
    directory: Arc<dyn Directory>,
    two_factor: TwoFactor<S>,
    is_strict: bool,
}

impl<S: Scope> RocketChat<S> {
    /// The face of the service behind this layer, whose policy of second factors is
    /// [`FactorPolicy::rocketchat`](crate::core::factor_policy::FactorPolicy::rocketchat) or one
    /// made of it.
    #[must_use]
    pub fn new(
        layer: BearerLayer<S>,
        directory: Arc<dyn Directory>,
        two_factor: TwoFactor<S>,
    ) -> Self {
        Self { layer, directory, two_factor, is_strict: false }
    }

    /// Asks the store about each token, as [`BearerLayer::strict`] does.
    #[must_use]
    pub const fn strict(mut self) -> Self {
        self.is_strict = true;
        self
    }

    /// The proof that what the policy asks for this operation was done, with these parameters in a
    /// canonical form. An answer is remembered of the token and the address that gave it, if the
    /// policy says so.
    ///
    /// # Errors
    ///
    /// What to answer: `totp-required`, `totp-invalid` or `totp-max-attempts`, or 503.
    pub async fn step_up(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        address: Option<IpAddr>,
        operation: Operation,
        parameters: &[u8],
    ) -> Result<TwoFactorProof, Failure> {
        let device = address.map(|address| address.to_canonical().to_string());
        let given = step_up::Given::read(headers);
        let mut ask = Ask::by(caller.token(), operation, parameters);
        if let Some(device) = &device {
            ask = ask.from_device(device.as_bytes());
        }
        if let Some(given) = &given {
            ask = ask.answered(&given.answer);
            if let Some(method) = given.method {
                ask = ask.with_method(method);
            }
        }
        self.two_factor.demand(&ask).await.map_err(|error| step_up::failure(&error))
    }
}
