//! The checker of histories finds what is wrong in each, and nothing in those that only look so.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails where it panics, in its helpers too"
)]

mod bad;
mod good;
#[path = "../common/history.rs"]
mod history;
mod large;
mod plain;
mod random;
mod words;
