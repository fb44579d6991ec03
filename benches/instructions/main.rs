//! How many instructions does one verification of a token in use take, beside its digest?
//!
//! This program starts itself anew under valgrind's `callgrind`, once for some calls and once for
//! twice as many; the difference is what the calls took. The digest alone is counted in the same
//! way and subtracted, since valgrind hides the CPU's SHA instructions, and which digest is made is
//! none of the path's doing. So the counts do not depend on the machine, as long as its CPU is an
//! x86-64 one; on the compiler they do.
//!
//! `record.txt` holds what was counted last. A count that has grown or shrunk by more than 3 %
//! fails: what has grown is slower, and what has shrunk could grow again unnoticed. The record
//! changes only in a commit that says why.
//!
//! The clock stands still, so that no lease ends under valgrind; what reading the system's takes
//! is not in the counts.
#![expect(
    clippy::disallowed_macros,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a bench prints, and stops when something is wrong"
)]

mod subject;

use std::process::{Command, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};

use self::subject::{SUBJECTS, Subject};

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if let [_, flag, subject, calls] = &arguments[..]
        && flag == CHILD
    {
        let subject = SUBJECTS.iter().find(|one| one.name == subject).unwrap();
        return (subject.run)(calls.parse().unwrap());
    }
    let obstacle = obstacle();
    let trials = SUBJECTS.iter().filter(|subject| subject.without.is_some()).map(|subject| {
        let name = format!("{}_takes_as_many_instructions_as_recorded", subject.name);
        Trial::test(name, || holds(subject))
            .with_ignored_flag(obstacle.is_some())
            .with_kind(obstacle.unwrap_or_default())
    });
    // Cargo says that this is a bench; the trials are checks all the same.
    let arguments = arguments.into_iter().filter(|argument| argument != "--bench");
    libtest_mimic::run(&Arguments::from_iter(arguments), trials.collect()).exit();
}

/// Why nothing can be counted here, if so.
fn obstacle() -> Option<&'static str> {
    let version = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    match version {
        _ if !cfg!(target_arch = "x86_64") => Some("counts are recorded for x86-64 only"),
        Ok(status) if status.success() => None,
        _ => Some("no valgrind"),
    }
}

fn holds(subject: &Subject) -> Result<(), Failed> {
    let digest = subject.without.map_or(0.0, instructions);
    let counted = instructions(subject.name) - digest;
    let recorded = recorded(subject.name).ok_or("not in the record")?;
    println!("{}: {counted:.1} counted, {recorded:.1} recorded", subject.name);
    if (counted - recorded).abs() > recorded * TOLERANCE {
        return Err(format!(
            "{}: {counted:.1} instructions a call, {recorded:.1} in the record, with another compiler perhaps",
            subject.name
        )
        .into());
    }
    Ok(())
}

fn recorded(name: &str) -> Option<f64> {
    let mut lines = RECORD.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(subject, _)| *subject == name).map(|(_, count)| count.trim().parse().unwrap())
}

/// Of one call.
fn instructions(subject: &str) -> f64 {
    let [once, twice] = [CALLS, 2 * CALLS].map(|calls| total(subject, calls));
    (twice - once) / f64::from(CALLS)
}

fn total(subject: &str, calls: u32) -> f64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args([CHILD, subject, &calls.to_string()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    collected.unwrap().1.trim().parse().unwrap()
}

const CHILD: &str = "--child";

/// Enough for what differs before the first call, such as seeds of hash maps, not to matter.
const CALLS: u32 = 20_000;

const TOLERANCE: f64 = 0.03;

const RECORD: &str = include_str!("record.txt");
