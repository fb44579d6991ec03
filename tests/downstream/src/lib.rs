//! What a host writes: a store of its own, a row of its own, scopes of its own.

pub mod forum;
pub mod row;
pub mod store;
