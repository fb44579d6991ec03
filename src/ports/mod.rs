//! What the service asks of the world: small traits that adapters and hosts implement.
//!
//! Each trait's documentation names first what happens when an implementation lies.

pub mod audit;
pub mod clock;
pub mod directory;
pub mod entropy;
pub mod factors;
pub mod mailer;
pub mod passwords;
pub mod sealer;
pub mod store;
pub mod timer;
pub mod two_factor;
