//! What tests of tokens need: time and randomness in the test's hands, sample rows, and the laws
//! of [`TokenStore`](crate::ports::store::TokenStore) and
//! [`FactorStore`](crate::ports::factors::FactorStore).
//!
//! A store of your own shows that it keeps the contract with three lines in a test file:
//!
//! ```
//! # #[cfg(feature = "memory")] mod store_laws {
//! use keyfob::store::memory::MemoryStore;
//! use keyfob::testing::{block_on, sample};
//!
//! keyfob::store_laws! {
//!     fresh = { let store = MemoryStore::new(sample::realm()); move |realm| store.in_realm(realm) },
//!     block_on = block_on,
//! }
//! # }
//! ```

mod audit;
mod clock;
mod executor;
pub mod laws;
mod randomness;
pub mod sample;

pub use self::audit::RecordingSink;
pub use self::clock::{ManualClock, ManualTimer};
pub use self::executor::block_on;
pub use self::randomness::SeededRandomness;
