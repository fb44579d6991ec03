//! What is wrong with a world in which the contract cannot be kept: without such worlds nobody would
//! know that a world without violations is evidence of anything.

/// Somebody lies, each in a way that the ports' documentation forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Trouble on the way is told as "there is no such token".
    AbsentForTrouble,
    /// The store says of a change every now and then that it touched somebody else.
    ChangesMisnamed,
    /// The store does not write down which nodes there are.
    NodesForgotten,
    /// The machines' clocks go at half their pace.
    SlowClocks,
    /// Rows are read from a copy that lags behind.
    StaleRows,
    /// What changed is read from a copy that lags behind.
    StaleChanges,
    /// The store's time stands still.
    StoppedTime,
    /// Neither clock shows that a machine was suspended.
    SuspensionUnseen,
}
