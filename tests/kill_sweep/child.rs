//! The process that is killed: it takes its steps in order and writes down what it answers.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{OnceLock, mpsc};
use std::time::Duration;
use std::{fs, process, thread};

use crate::operation;
use crate::world::{Draws, World};

/// What tells this program that it is the child.
pub(crate) const ARGUMENT: &str = "--child";

/// Where the child writes its answers. What is in a file survives whoever wrote it, and a kill
/// at the very call that acknowledges is one more point to sweep.
pub(crate) const ANSWERS: &str = "answers";

/// What stands there where the sweep begins.
pub(crate) const BEGUN: &str = "begun";

/// Takes the steps, and ends the process without closing anything that no step has closed.
pub(crate) fn run(folder: &Path, steps: &[String]) -> ! {
    let answers = OpenOptions::new().create(true).append(true).open(folder.join(ANSWERS));
    OPENED.set(answers.unwrap()).unwrap();
    give_up_after(Duration::from_secs(60));
    let threads = count_threads();
    let mut world = None;
    for step in steps {
        match step.as_str() {
            "open" => world = Some(World::open(folder, Draws::Child).unwrap()),
            "prepare" => {
                let prepared = World::open(folder, Draws::Preparing).unwrap();
                prepared.prepare();
                world = Some(prepared);
            }
            "hold" => hold(),
            "begin" => {
                hold();
                say(BEGUN);
            }
            "close" => {
                world = None;
                // The last to close is the writing thread, which nobody can join.
                while count_threads() > threads {
                    thread::park_timeout(Duration::from_millis(1));
                }
            }
            operation::OPENING => match World::open(folder, Draws::Child) {
                Ok(opened) => {
                    world = Some(opened);
                    say(&format!("{step} ok"));
                }
                Err(error) => say(&format!("{step} {}", error.code())),
            },
            name => {
                let ended = operation::named(name).unwrap().run(world.as_ref().unwrap());
                let answer = match ended {
                    Ok(secret) => format!("{name} ok {}", secret.unwrap_or_default()),
                    Err(error) => format!("{name} {}", error.code()),
                };
                say(&answer);
            }
        }
    }
    process::exit(0)
}

/// Writes down an answer, in one call. Nothing may be kept back: the next may be the last.
pub(crate) fn say(answer: &str) {
    let mut answers = OPENED.get().unwrap();
    answers.write_all(format!("{answer}\n").as_bytes()).unwrap();
}

/// Opened before anything goes wrong with opening files.
static OPENED: OnceLock<File> = OnceLock::new();

/// Says that it is ready, and waits to be told to go on.
fn hold() {
    println!("ready");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

fn count_threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// A child that hangs fails the test, and does not hang it.
fn give_up_after(patience: Duration) {
    let (keep, nothing) = mpsc::channel::<()>();
    thread::spawn(move || {
        let _ = nothing.recv_timeout(patience);
        drop(keep);
        process::exit(2)
    });
}
