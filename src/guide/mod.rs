//! Prose: how to begin, what is promised, and why things are as they are.

/// From nothing to authenticated requests.
#[doc = include_str!("quick_start.md")]
pub mod quick_start {}

/// Memory, SQLite or PostgreSQL, and what each answers when something is wrong.
#[doc = include_str!("choosing_a_store.md")]
pub mod choosing_a_store {}

/// Keeping tokens in a store of your own.
#[doc = include_str!("writing_a_store.md")]
pub mod writing_a_store {}

/// What a revocation promises, and what it does not.
#[doc = include_str!("revocation.md")]
pub mod revocation {}

/// Where a token works, how often, and how many times.
#[doc = include_str!("limits.md")]
pub mod limits {}

/// Authenticators, mailed codes, backup codes and passwords, and the proof that they were answered.
#[doc = include_str!("second_factor.md")]
pub mod second_factor {}

/// What is as AWX has it, and what is not.
#[cfg(feature = "awx")]
#[doc = include_str!("awx.md")]
pub mod awx {}

/// What is as Mattermost has it, and what is not.
#[cfg(feature = "mattermost")]
#[doc = include_str!("mattermost.md")]
pub mod mattermost {}

/// What is as Rocket.Chat has it, and what is not.
#[cfg(feature = "rocketchat")]
#[doc = include_str!("rocketchat.md")]
pub mod rocketchat {}

/// What is as Zitadel has it, and what is not.
#[cfg(feature = "zitadel")]
#[doc = include_str!("zitadel.md")]
pub mod zitadel {}

/// Tokens of the product that your server takes the place of, and what their texts cost.
#[cfg(all(feature = "awx", feature = "import", feature = "mattermost", feature = "rocketchat"))]
#[doc = include_str!("moving.md")]
pub mod moving {}

/// Who attacks, how, and what stands in the way.
#[doc = include_str!("threat_model.md")]
pub mod threat_model {}

/// What a verification costs, beside the least that it could and beside other crates.
#[doc = include_str!("performance.md")]
#[doc = ""]
#[doc = include_str!("performance.svg")]
pub mod performance {}

/// What each field of a token's row and each method of a store is for.
#[doc = include_str!("the_record.md")]
pub mod the_record {}

/// What was decided, and why.
#[doc = include_str!("decisions.md")]
pub mod decisions {}
