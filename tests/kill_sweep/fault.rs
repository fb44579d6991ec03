//! What goes wrong at a point.

use crate::operation::NEXT;

pub(crate) struct Fault {
    /// What is said of an operation that stands it.
    pub(crate) survived: &'static str,
    /// What `strace` does.
    does: &'static str,
    /// Whether it goes on doing so at each later call of the kind.
    pub(crate) stays: bool,
    /// What the process does after the operation. If it does not close, it dies.
    pub(crate) then: &'static [&'static str],
}

pub(crate) const KILL: Fault = Fault {
    survived: "survives_a_kill_at_every_write",
    does: "signal=KILL",
    stays: false,
    then: &["close"],
};

pub(crate) const FAILURES: &[Fault] = &[
    Fault {
        survived: "survives_an_error_at_every_write",
        does: "error=EIO",
        stays: false,
        then: &[NEXT, "close"],
    },
    Fault {
        survived: "survives_death_after_an_error_at_every_write",
        does: "error=EIO",
        stays: false,
        then: &[],
    },
    Fault {
        survived: "survives_errors_from_every_write_on",
        does: "error=EIO",
        stays: true,
        then: &[NEXT, "close"],
    },
    Fault {
        survived: "survives_a_disk_that_is_full_for_a_moment_at_every_write",
        does: "error=ENOSPC",
        stays: false,
        then: &[NEXT, "close"],
    },
    Fault {
        survived: "survives_a_disk_that_is_full_from_every_write_on",
        does: "error=ENOSPC",
        stays: true,
        then: &[NEXT, "close"],
    },
];

impl Fault {
    /// In the words of `strace`, from the n-th call on.
    pub(crate) fn at(&self, nth: usize) -> String {
        let on = if self.stays { "+" } else { "" };
        format!("{}:when={nth}{on}", self.does)
    }

    pub(crate) fn kills(&self) -> bool {
        self.does == KILL.does
    }
}
