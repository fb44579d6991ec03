//! Tokens of other products, read from their own tables, that go on working here.
//!
//! A reader turns an export into [`Row`]s; [`import`] takes them over and reports on each. Both can
//! be repeated: what was taken over once is left as it is.
//!
//! ```
//! use keyfob::import::{import, mattermost};
//! use keyfob::store::memory::MemoryStore;
//! use keyfob::{Access, Format, Grant, Keyring, ReadWrite, Rules, Shape, Tokens};
//!
//! # async fn moving() -> Result<(), Box<dyn std::error::Error>> {
//! let format = Format::new("chat")?.reading(Shape::MATTERMOST);
//! let rules = Rules::new(format, Keyring::unkeyed());
//! let tokens = Tokens::<ReadWrite>::new(MemoryStore::default(), rules);
//! let export = r#"{"id":"8wx7skx8qbbtdyq1w5zj3fmumh","token":"hf3k9xqjm7gdupb5ecnsw8yrot",
//!     "userid":"alice","description":"ci","isactive":true,"expiresat":0}"#;
//!
//! let rows = mattermost::read(export);
//! let report = import(&tokens, rows, |owner| Some(owner.clone()), &Grant::Full).await;
//! assert_eq!(report.to_string(), "1 taken over, 0 taken over before, 0 skipped");
//! assert!(tokens.authenticate("hf3k9xqjm7gdupb5ecnsw8yrot", &Access::any()).await.is_ok());
//! # Ok(())
//! # }
//! # keyfob::testing::block_on(moving()).unwrap();
//! ```

pub mod awx;
mod export;
pub mod mattermost;
mod report;
pub mod rocketchat;

pub use self::report::{Outcome, Report, Reported, Skipped};
use crate::core::id::OwnerId;
use crate::core::import::ForeignToken;
use crate::core::scope::{Grant, Scope};
use crate::service::Tokens;
use crate::service::error::ImportFailure;
use crate::service::import::Import;

/// A token in an export, or why it is none that can be taken over.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "a token and what to call it in the report")]
pub struct Row {
    /// What the export calls it: its id, or its owner and its name. Never a secret.
    pub called: String,
    /// The token.
    pub token: Result<ForeignToken, Skipped>,
}

/// Takes over the tokens of an export, in its order, and says what has become of each.
///
/// `account` says which account here is meant by an owner of the export, if any is. `grant` is the
/// most that the tokens may do here, usually [`Grant::Full`]: those of products without scopes are
/// given it, and others no more of their own than it holds.
///
/// Trouble with the store ends it early. The report says so; what was taken over by then is there,
/// and found again when the import is repeated.
pub async fn import<S: Scope>(
    tokens: &Tokens<S>,
    rows: Vec<Row>,
    account: impl Fn(&OwnerId) -> Option<OwnerId>,
    grant: &Grant<S>,
) -> Report {
    let mut report = Report::default();
    for Row { called, token } in rows {
        let token = token.and_then(|token| {
            let owner = account(&token.owner).ok_or(Skipped::NoAccount)?;
            let both = token.grant.read::<S>().and_then(|own| own.meet(grant));
            let grant = both.ok_or(Skipped::NoGrant)?.names();
            Ok(ForeignToken { owner, grant, ..token })
        });
        let outcome = match token {
            Err(skipped) => Outcome::Skipped(skipped),
            Ok(token) => match tokens.import(token).await {
                Ok(Import::Done(record)) => Outcome::Taken(record.id),
                Ok(Import::DoneBefore(record)) => Outcome::TakenBefore(record.id),
                Err(ImportFailure::Refused(error)) => Outcome::Skipped(Skipped::Refused(error)),
                Err(ImportFailure::Taken) => Outcome::Skipped(Skipped::Taken),
                Err(ImportFailure::Unavailable(error)) => {
                    report.interrupted = Some(error);
                    return report;
                }
            },
        };
        report.rows.push(Reported { called, outcome });
    }
    report
}
