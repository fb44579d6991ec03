//! What a second factor promises: nothing goes on without what the policy asks, every answer is
//! counted and right once, and a proof fits one request.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails where it panics, in its helpers too"
)]

mod attempts;
mod bypass;
mod challenges;
mod devices;
mod email;
mod events;
#[path = "../common/factor_events.rs"]
mod factor_events;
mod manage;
mod policy;
mod scene;
mod seeds;
mod totp;
