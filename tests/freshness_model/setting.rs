//! What each run is about.

use crate::system::{BOUND, Change, Setting};

const LONG: bool = option_env!("KEYFOB_LONG").is_some();

const fn more(few: u64, many: u64) -> u64 {
    if LONG { many } else { few }
}

/// How often what may happen does.
const MANY: u8 = if LONG { 2 } else { 1 };

const PLAIN: Setting = Setting {
    name: "",
    nodes: 1,
    ticks: 3,
    changes: &[Change::Revoke],
    cuts: 0,
    crashes: 0,
    sleeps: 0,
    date_steps: 0,
    loses: false,
    mints: false,
    hints: false,
    remembered: 4,
};

pub(crate) const SETTINGS: &[Setting] = &[
    Setting { name: "one change", nodes: 2, ticks: more(3, 5), ..PLAIN },
    Setting {
        name: "two changes",
        ticks: more(1, 3),
        changes: &[Change::Rename, Change::Revoke],
        remembered: 1,
        ..PLAIN
    },
    Setting {
        name: "two changes of others",
        nodes: 2,
        ticks: more(1, 3),
        changes: &[Change::Revoke, Change::Rename],
        remembered: 1,
        ..PLAIN
    },
    Setting {
        name: "there and back",
        ticks: more(1, 3),
        nodes: 2,
        changes: &[Change::Deactivate, Change::Reactivate],
        ..PLAIN
    },
    Setting {
        name: "the owner",
        nodes: 2,
        ticks: more(3, 5),
        changes: &[Change::DeactivateOwner],
        ..PLAIN
    },
    Setting { name: "cuts", nodes: 2, ticks: more(3, 4), cuts: 2, ..PLAIN },
    Setting {
        name: "crashes",
        nodes: 2,
        ticks: more(3, 4),
        crashes: MANY,
        cuts: MANY - 1,
        ..PLAIN
    },
    Setting { name: "sleep", nodes: 2, ticks: more(3, 4), sleeps: MANY, ..PLAIN },
    Setting { name: "dates", nodes: 2, ticks: more(3, 3), date_steps: MANY, ..PLAIN },
    Setting {
        name: "history",
        nodes: 2,
        ticks: more(1, 3),
        changes: &[Change::Deactivate, Change::Reactivate],
        loses: true,
        ..PLAIN
    },
    Setting {
        name: "fence",
        nodes: 2,
        ticks: more(3, 4),
        changes: &[Change::RevokeFenced],
        ..PLAIN
    },
    Setting { name: "mints", ticks: more(3, 4), mints: true, ..PLAIN },
    Setting {
        name: "hints",
        nodes: 2,
        ticks: more(1, 3),
        changes: &[Change::Rename, Change::Revoke],
        hints: true,
        ..PLAIN
    },
];

/// For a mistake, which may need the whole bound to do harm.
pub(crate) fn named(name: &str) -> Setting {
    let setting = *SETTINGS.iter().find(|setting| setting.name == name).unwrap();
    Setting { ticks: setting.ticks.max(BOUND), ..setting }
}
