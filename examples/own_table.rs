//! A host that keeps tokens in a table of its own, and takes only the decisions from the library.
//!
//! There is no store and no service here: a map stands for the host's table. Its row has columns
//! that the library knows nothing of, and they take part in every verdict.
//!
//! ```text
//! cargo run --example own_table
//! ```
#![expect(clippy::disallowed_macros, reason = "a program prints what it finds")]

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use keyfob::core::constraints::Constraints;
use keyfob::core::digest::StoredDigest;
use keyfob::core::error::VerifyError;
use keyfob::core::issue::{Caller, issue};
use keyfob::core::lifecycle::deactivate;
use keyfob::core::owner::OwnerState;
use keyfob::core::rotation::rotate;
use keyfob::core::token::{Ended, Previous, Validity};
use keyfob::core::verify::verify;
use keyfob::os::{SystemClock, SystemEntropy};
use keyfob::ports::clock::Clock as _;
use keyfob::ports::entropy::Generator;
use keyfob::{
    Access, Actor, Expiry, Format, Grant, IssueRequest, Keyring, Kind, OwnerId, Refusal, Rotation,
    Rules, Scope, ScopeName, State, Token, TokenId, TokenRecord,
};

/// What a bot of this host may be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum BotScope {
    /// Write messages.
    Post,
    /// Remove messages, and write them.
    Moderate,
}

impl Scope for BotScope {
    fn parse(name: &ScopeName) -> Option<Self> {
        [Self::Post, Self::Moderate].into_iter().find(|scope| scope.name() == *name)
    }

    fn name(&self) -> ScopeName {
        let name = match self {
            Self::Post => "bot:post",
            Self::Moderate => "bot:moderate",
        };
        name.parse().unwrap_or_else(|_| unreachable!("both are well-formed"))
    }

    fn permits(&self, needed: &Self) -> bool {
        self >= needed
    }
}

/// A row of the host's table: the token, beside what only this host cares about.
struct BotRow {
    token: TokenRecord,
    /// The state of a bot that its channel has muted.
    muted: Option<State>,
    /// The bot's trial ends here, whatever its token says.
    trial_ends_at: DateTime<Utc>,
}

/// How the library sees the row.
impl Token for BotRow {
    fn id(&self) -> TokenId {
        self.token.id
    }
    fn owner(&self) -> &OwnerId {
        &self.token.owner
    }
    fn owner_generation(&self) -> u32 {
        self.token.owner_generation
    }
    fn kind(&self) -> &Kind {
        &self.token.kind
    }
    fn grant(&self) -> &Grant<ScopeName> {
        &self.token.grant
    }
    fn state(&self) -> &State {
        match (&self.token.state, &self.muted) {
            (State::Active, Some(muted)) => muted,
            (state, _) => state,
        }
    }
    fn validity(&self) -> Validity {
        let trial = Expiry::At(self.trial_ends_at);
        let own = self.token.validity;
        Validity::new(own.not_before, own.expires_at.min(trial))
    }
    fn constraints(&self) -> &Constraints {
        &self.token.constraints
    }
    fn created_at(&self) -> DateTime<Utc> {
        self.token.created_at
    }
    fn spent(&self) -> u32 {
        self.token.spent
    }
    fn last_used_at(&self) -> Option<DateTime<Utc>> {
        None
    }
    fn digest(&self) -> &StoredDigest {
        &self.token.digest
    }
    fn previous(&self) -> Option<&Previous> {
        self.token.previous.as_ref()
    }
    fn generation(&self) -> u32 {
        self.token.generation
    }
}

/// The host's table and its rules.
struct Bots {
    rules: Rules,
    rows: HashMap<TokenId, BotRow>,
}

impl Bots {
    /// What a presented text may do: a pure function of the row and the time.
    fn judge(&self, text: &str, needed: BotScope, now: DateTime<Utc>) -> Result<(), Refusal> {
        let presented = self.rules.format.parse(text.as_bytes()).map_err(|_| Refusal::Malformed)?;
        let row = presented.id().and_then(|id| self.rows.get(&id)).ok_or(Refusal::Unknown)?;
        // This host keeps no state of its bots' owners beside the bots.
        let (owner, access) = (OwnerState::unheard_of(), Access::needing(&needed));
        match verify(&presented, row, &owner, &access, &self.rules, now) {
            Ok(_) => Ok(()),
            Err(VerifyError::Refused(refusal)) => Err(refusal),
            // The keyring below never changes, so a key cannot be missing; refusing is safe.
            Err(_) => Err(Refusal::Unknown),
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (entropy, host) = (SystemEntropy::new(), Actor::host());
    let (mut random, now) = (Generator(&entropy), SystemClock::new().now());
    let later = |days| now.checked_add_signed(TimeDelta::days(days)).ok_or("past the calendar");
    let mut bots =
        Bots { rules: Rules::new(Format::new("bot")?, Keyring::unkeyed()), rows: HashMap::new() };

    let grant = Grant::only([BotScope::Post]).ok_or("a grant names a scope")?;
    let request = IssueRequest::new(OwnerId::new("weather-bot")?, grant);
    let owner = OwnerState::unheard_of();
    let issued = issue(request, Caller::Host(&host), &owner, &bots.rules, now, &mut random)?;
    let (first, id) = (issued.secret, issued.record.id);
    bots.rows.insert(id, BotRow { token: issued.record, muted: None, trial_ends_at: later(14)? });
    let first = first.expose_secret();
    assert_eq!(bots.judge(first, BotScope::Post, now), Ok(()));
    assert_eq!(bots.judge(first, BotScope::Moderate, now), Err(Refusal::ScopeMissing));
    println!("{id}: it may post, and not moderate");

    // The host's own columns take part in the verdict.
    let row = bots.rows.get_mut(&id).ok_or("the row is there")?;
    row.muted = Some(State::Deactivated(Ended::new(host.clone(), None, now)));
    assert_eq!(bots.judge(first, BotScope::Post, now), Err(Refusal::Deactivated));
    bots.rows.get_mut(&id).ok_or("the row is there")?.muted = None;
    assert_eq!(bots.judge(first, BotScope::Post, later(14)?), Err(Refusal::Expired));
    println!("{id}: muted, it is refused; so it is after its trial");

    // A decision is a value. Nothing happens until the host writes it into its row.
    let row = bots.rows.get_mut(&id).ok_or("the row is there")?;
    let rotation = Rotation::with_overlap(TimeDelta::hours(1));
    let rotated = rotate(&row.token, rotation, host.clone(), &bots.rules, now, &mut random)?;
    rotated.change.patch.apply(&mut row.token, now);
    let second = rotated.secret.expose_secret();
    assert_eq!(bots.judge(second, BotScope::Post, now), Ok(()));
    assert_eq!(bots.judge(first, BotScope::Post, now), Ok(()), "for an hour, both work");
    assert_eq!(bots.judge(first, BotScope::Post, later(1)?), Err(Refusal::Superseded));
    println!("{id}: rotated; the first secret ends with the overlap");

    let row = bots.rows.get_mut(&id).ok_or("the row is there")?;
    if let Some(change) = deactivate(row, host, None, now)? {
        change.patch.apply(&mut row.token, now);
    }
    assert_eq!(bots.judge(second, BotScope::Post, now), Err(Refusal::Deactivated));
    println!("{id}: deactivated");
    Ok(())
}
