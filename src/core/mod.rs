//! Words and decisions: pure data and pure functions of it.
//!
//! Nothing here waits, reads a clock, draws randomness by itself, looks at the environment or
//! writes a log. Time and a random generator come in as arguments.

mod alphabet;
pub mod change;
pub mod constraints;
pub mod digest;
pub mod epoch;
pub mod error;
pub mod event;
pub mod factor;
pub mod factor_policy;
pub mod format;
pub mod freshness;
pub mod id;
pub mod import;
pub mod issue;
pub mod lifecycle;
pub mod owner;
pub mod policy;
pub mod rate;
mod record;
pub mod rotation;
pub mod scope;
pub mod secret;
pub mod shape;
pub mod time;
pub mod token;
pub mod verify;
