//! What the SQLite store promises when its process is killed, or its disk fails, at any write.
//!
//! This program starts itself anew under `strace`, which interferes with the n-th call of one
//! kind, for every call that writes. What the stopped process leaves behind must hold what it has
//! acknowledged, be wholly before or wholly after what it has not, and open again.
//!
//! Reach: a kill stops the process between two system calls. Writes into the mapped `-shm` file
//! are not calls; that file only indexes the `-wal` file, and whoever opens first makes it anew.
//! What a power cut loses, written and not yet synced, is not lost here.
#![expect(clippy::disallowed_macros, reason = "a test program says what it found")]
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops where something is wrong"
)]

mod child;
mod contents;
mod fault;
mod operation;
mod scene;
mod strace;
mod sweep;
mod world;

use std::sync::{Arc, LazyLock};

use libtest_mimic::{Arguments, Failed, Trial};

use self::fault::{FAILURES, Fault, KILL};
use self::operation::{ACKNOWLEDGED_FIRST, IN_TWO_HALVES, OPERATIONS, Operation};
use self::scene::{Prepared, Scene};
use self::sweep::{DIFFERENT, sweep};

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(child::ARGUMENT) {
        let folder = arguments.next().unwrap();
        child::run(folder.as_ref(), &arguments.collect::<Vec<_>>());
    }
    libtest_mimic::run(&Arguments::from_args(), trials()).exit();
}

type Test = Box<dyn FnOnce(&Prepared) -> Result<(), Failed> + Send>;

fn trials() -> Vec<Trial> {
    let operations = OPERATIONS.iter().map(Scene::Operation);
    let scenes = [Scene::Opening, Scene::Reopening].into_iter().chain(operations);
    let wrong = [ACKNOWLEDGED_FIRST, IN_TWO_HALVES].into_iter().filter_map(operation::named);
    let obstacle = strace::obstacle();
    let prepared = Arc::new(LazyLock::new(Prepared::new as fn() -> Prepared));
    let trial = |name: String, test: Test| {
        let prepared = Arc::clone(&prepared);
        // What cannot be found out is ignored for a reason that is told.
        Trial::test(name, move || test(&prepared))
            .with_ignored_flag(obstacle.is_some())
            .with_kind(obstacle.unwrap_or_default())
    };
    let stands = |scene: Scene, fault: &'static Fault| {
        let name = format!("{}_{}", scene.name(), fault.survived);
        let said = name.clone();
        let test = move |prepared: &Prepared| {
            let swept = sweep(scene, fault, prepared)?;
            println!("{said}: {swept} of {swept} points");
            Ok(())
        };
        trial(name, Box::new(test))
    };
    let is_noticed = |operation: &'static Operation| {
        let test =
            move |prepared: &Prepared| match sweep(Scene::Operation(operation), &KILL, prepared) {
                Err(noticed) if noticed.contains(DIFFERENT) => Ok(()),
                swept => Err(format!("{swept:?}").into()),
            };
        trial(format!("the_sweep_notices_what_is_{}", operation.name), Box::new(test))
    };
    let faults = || [&KILL].into_iter().chain(FAILURES);
    scenes
        .flat_map(|scene| faults().map(move |fault| (scene, fault)))
        .map(|(scene, fault)| stands(scene, fault))
        .chain(wrong.map(is_noticed))
        .collect()
}
