//! What could be wrong with a protocol like this one, each where it would be made.

/// A mistake of whoever drives the machine, or of the store. The machine itself is the shipped one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// A store that cannot be asked is taken for a yes.
    FailOpen,
    /// The hint is part of the change, and its queue is full.
    HintInWrite,
    /// News is asked for when there is a hint, and only then; there is no lease.
    HintOnly,
    /// The lease is read after the index was looked into.
    LeaseAfterSlot,
    /// The lease counts from the answer, not from before the question.
    LeaseFromReply,
    /// A token mints by what the index says of it.
    MintViaIndex,
    /// What was read is kept, whatever was touched since.
    NoFence,
    /// A history that went back is noticed, and nothing forgotten.
    NoFlushOnLoss,
    /// A change has its number before it is visible, so that a smaller one may follow a greater.
    NumberBeforeCommit,
    /// The lease is published before what changed is forgotten.
    PublishFirst,
    /// A process that starts takes over the index and the lease of the one that died.
    RestartKeeps,
    /// The ring reaches back one change less than it says.
    RingOneShort,
    /// The epoch is read after the changes, in another statement.
    TwoStatements,
    /// Leases are measured by the date.
    WallClock,
}
