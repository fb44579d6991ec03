//! The machine behind the revocation bound, in every order in which things can happen to it.
//!
//! The nodes run the shipped [`Freshness`](keyfob::core::freshness::Freshness). Around it stand a store,
//! polls that take time, readers that are held up between reading and keeping, verifications that are
//! held up between the lease and the index, ways that are cut, machines that sleep, dates that are set,
//! processes that die, and a history that is lost. Whoever takes no step for a while is a process that
//! stands still. Each setting is explored to its end.
//!
//! With `KEYFOB_LONG` set at build time the settings are larger.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails where it panics, and says what it found"
)]

mod mistake;
mod setting;
mod system;

use stateright::{Checker as _, Model, Property};

use self::mistake::Mistake;
use self::setting::{SETTINGS, named};
use self::system::{Action, Broken, Cluster, Seen, System};

const KEPT: &str = "the contract is kept";

/// How many states there are, and how the contract was broken in one of them.
fn explore(system: System) -> (usize, Option<Broken>, System) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let system = std::sync::Arc::new(system);
    let checker =
        Shared(std::sync::Arc::clone(&system)).checker().threads(threads).spawn_bfs().join();
    let found = checker.discovery(KEPT);
    if let Some(path) = &found {
        println!("{:?}", path.clone().into_actions());
    }
    let broken = found.and_then(|path| path.last_state().broken);
    let states = checker.unique_state_count();
    drop(checker);
    (states, broken, std::sync::Arc::into_inner(system).unwrap())
}

/// What was seen on the way is asked for afterwards.
struct Shared(std::sync::Arc<System>);

impl Model for Shared {
    type State = Cluster;
    type Action = Action;

    fn init_states(&self) -> Vec<Cluster> {
        vec![self.0.start()]
    }

    fn actions(&self, cluster: &Cluster, actions: &mut Vec<Action>) {
        self.0.actions(cluster, actions);
    }

    fn next_state(&self, cluster: &Cluster, action: Action) -> Option<Cluster> {
        self.0.step(cluster, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always(KEPT, |_, cluster: &Cluster| cluster.broken.is_none())]
    }
}

#[test]
fn the_contract_is_kept_in_every_order_of_things() {
    let mut all = 0;
    let mut unseen: Vec<Seen> = Seen::ALL.into();
    for setting in SETTINGS {
        let begun = std::time::Instant::now();
        let (states, broken, system) = explore(System::new(*setting, None));
        println!("{}: {states} states in {:.1?}", setting.name, begun.elapsed());
        assert_eq!(broken, None, "{}", setting.name);
        unseen.retain(|seen| !system.has_seen(*seen));
        all += states;
    }
    println!("{all} states");
    assert!(unseen.is_empty(), "never seen: {unseen:?}");
    assert!(all >= LEAST, "only {all} states");
}

/// Fewer would mean that something was left out.
const LEAST: usize = if option_env!("KEYFOB_LONG").is_some() { 50_000_000 } else { 1_000_000 };

macro_rules! caught {
    ($($name:ident: $mistake:ident in $setting:literal breaks $($broken:ident)|+;)+) => {
        $(
            #[test]
            fn $name() {
                let (_, broken, _) = explore(System::new(named($setting), Some(Mistake::$mistake)));
                // Several are broken in as few steps: which is found first is left to the threads.
                assert!(matches!(broken, Some($(Broken::$broken)|+)), "{broken:?}");
            }
        )+
    };
}

caught! {
    a_change_that_needs_its_hint_to_be_queued_is_vetoed: HintInWrite in "hints" breaks Vetoed;
    a_lease_by_the_date_is_too_long: WallClock in "dates" breaks Bounded;
    a_lease_from_the_reply_is_too_long: LeaseFromReply in "one change" breaks Bounded;
    a_lease_that_is_published_first_covers_what_changed: PublishFirst in "one change" breaks Bounded;
    a_lease_that_is_read_last_is_another_index_s: LeaseAfterSlot in "one change" breaks Bounded;
    a_restart_that_keeps_the_index_misses_what_changed: RestartKeeps in "crashes" breaks Bounded;
    a_ring_one_short_lets_a_stale_row_in: RingOneShort in "two changes" breaks Local | Resurrected;
    a_store_that_does_not_answer_is_no_yes: FailOpen in "cuts" breaks Honest;
    a_token_that_mints_by_the_index_mints_dead: MintViaIndex in "mints" breaks Minted;
    hints_alone_are_lost: HintOnly in "hints" breaks Bounded;
    nothing_fenced_lets_a_stale_row_in: NoFence in "two changes" breaks Local | Resurrected;
    numbers_before_the_commit_are_missed: NumberBeforeCommit in "two changes of others" breaks Bounded | Resurrected;
    two_statements_are_no_snapshot: TwoStatements in "one change" breaks Bounded;
    what_is_not_forgotten_with_the_history_lives_on: NoFlushOnLoss in "history" breaks Bounded;
}
