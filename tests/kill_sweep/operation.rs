//! What is swept: the store's operations, and two that are wrong on purpose.

use chrono::DateTime;
use keyfob::ports::factors::{AttemptLimit, FactorStore, Reservation};
use keyfob::service::error::{ChangeFailure, IssueFailure};
use keyfob::testing::block_on;
use keyfob::{Actor, By, Grant, IssueRequest, Rotation, StoreError};

use crate::child::say;
use crate::world::{World, owner_named};

/// A new secret, if the operation draws one.
type Outcome = Result<Option<String>, StoreError>;

#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    /// The prepared secrets that work no longer once it is done.
    pub(crate) ends: &'static [&'static str],
    /// The tables that it changes, all at once.
    pub(crate) changes: &'static [&'static str],
    run: fn(&World) -> Outcome,
}

impl Operation {
    pub(crate) fn run(&self, world: &World) -> Outcome {
        (self.run)(world)
    }
}

/// Opening a file and bringing its schema up to date.
pub(crate) const OPENING: &str = "opening";

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "issue",
        ends: &[],
        changes: &["changes", "events", "owners", "realms", "sqlite_sequence", "tokens"],
        run: |world| {
            let request = IssueRequest::new(owner_named("alice"), Grant::Full);
            let issued = block_on(world.tokens.issue(request, By::Host(&Actor::host())));
            match issued {
                Ok((secret, _)) => Ok(Some(secret.expose_secret().to_owned())),
                Err(IssueFailure::Unavailable(error)) => Err(error),
                Err(refused) => panic!("{refused}"),
            }
        },
    },
    Operation {
        name: "revoke",
        ends: &["minted", "target"],
        changes: &["changes", "events", "owners", "realms", "tokens"],
        run: |world| revoke(world, "target"),
    },
    Operation {
        name: "rotate",
        ends: &["target"],
        changes: &["changes", "events", "owners", "realms", "tokens"],
        run: |world| {
            let (id, host) = (world.id("target"), Actor::host());
            let rotated = world.tokens.rotate(id, Rotation::at_once(), By::Host(&host));
            let (secret, _) = block_on(rotated).or_else(unavailable)?;
            Ok(Some(secret.expose_secret().to_owned()))
        },
    },
    Operation {
        name: "deactivate",
        ends: &["target"],
        changes: &["changes", "events", "owners", "realms", "tokens"],
        run: |world| deactivate(world, "target"),
    },
    Operation {
        name: "deactivate_owner",
        ends: &["bobs", "spare"],
        changes: &["changes", "events", "owners", "realms"],
        run: |world| {
            let (bob, host) = (owner_named("bob"), Actor::host());
            let done = world.tokens.deactivate_owner(&bob, By::Host(&host), None);
            block_on(done).or_else(unavailable).map(|_| None)
        },
    },
    Operation {
        name: "reserve_attempt",
        ends: &[],
        changes: &["attempts"],
        run: |world| {
            let (owner, limit) = (owner_named("alice"), AttemptLimit { attempts: 1, within: None });
            let now = DateTime::UNIX_EPOCH;
            let reserved = block_on(world.store.reserve_attempt(&owner, "totp", &[limit], now))?;
            assert_eq!(reserved, Reservation::Granted);
            Ok(None)
        },
    },
];

/// What the same process does after a disk has failed it.
pub(crate) const NEXT: &str = "next";

/// Wrong: it acknowledges what it has not done yet.
pub(crate) const ACKNOWLEDGED_FIRST: &str = "acknowledged_first";

/// Wrong: between its halves it is half made.
pub(crate) const IN_TWO_HALVES: &str = "in_two_halves";

/// Those that no trial is about by itself.
const OTHERS: &[Operation] = &[
    Operation {
        name: NEXT,
        ends: &["spare"],
        changes: &["changes", "events", "owners", "realms", "tokens"],
        run: |world| deactivate(world, "spare"),
    },
    Operation {
        name: ACKNOWLEDGED_FIRST,
        ends: &["minted", "target"],
        changes: &["changes", "events", "owners", "realms", "tokens"],
        run: |world| {
            say("acknowledged_first ok ");
            revoke(world, "target")
        },
    },
    Operation {
        name: IN_TWO_HALVES,
        ends: &["minted", "target"],
        changes: &["changes", "events", "owners", "realms", "tokens"],
        run: |world| {
            revoke(world, "minted")?;
            revoke(world, "target")
        },
    },
];

pub(crate) fn named(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().chain(OTHERS).find(|operation| operation.name == name)
}

/// Whether the step of this name ends the prepared secret of that one.
pub(crate) fn ends(step: &str, secret: &str) -> bool {
    named(step).is_some_and(|operation| operation.ends.contains(&secret))
}

fn revoke(world: &World, name: &str) -> Outcome {
    let (id, host) = (world.id(name), Actor::host());
    block_on(world.tokens.revoke(id, By::Host(&host), None)).or_else(unavailable).map(|_| None)
}

fn deactivate(world: &World, name: &str) -> Outcome {
    let (id, host) = (world.id(name), Actor::host());
    block_on(world.tokens.deactivate(id, By::Host(&host), None)).or_else(unavailable).map(|_| None)
}

fn unavailable<T>(failure: ChangeFailure) -> Result<T, StoreError> {
    match failure {
        ChangeFailure::Unavailable(error) => Err(error),
        refused => panic!("{refused}"),
    }
}
