//! Builds the targets, runs the tests that are named, and reads what became of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::sheet::{Row, Test};

/// The tests to run, by their target.
pub(crate) type Wanted = BTreeMap<String, BTreeSet<String>>;

/// What each target told, or why it told nothing.
pub(crate) type Outcomes = BTreeMap<String, Result<Report, String>>;

/// What became of each test that a target reported.
pub(crate) type Report = BTreeMap<String, String>;

pub(crate) fn wanted<'a>(rows: impl Iterator<Item = &'a Row>) -> Wanted {
    let mut wanted = Wanted::new();
    for Test { target, name } in rows.flat_map(|row| row.tests.clone()) {
        wanted.entry(target).or_default().insert(name);
    }
    wanted
}

/// Whether all tests of a row have passed; else which did not, and what became of them.
pub(crate) fn judge(row: &Row, outcomes: &Outcomes) -> Result<(), String> {
    let mut faults = Vec::new();
    for Test { target, name } in &row.tests {
        let told = match outcomes.get(target) {
            Some(Ok(report)) => match report.get(name).map(String::as_str) {
                Some("ok") => continue,
                Some(outcome) => outcome.to_owned(),
                None => format!("the target {target} told nothing of such a test"),
            },
            Some(Err(fault)) => fault.clone(),
            None => "it was not run".to_owned(),
        };
        faults.push(format!("{target}::{name}: {told}"));
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

/// Runs them all, one target after the other.
pub(crate) fn all(wanted: &Wanted) -> Outcomes {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let exists = |target: &str| {
        let tests = root.join("tests");
        target == LIBRARY
            || tests.join(format!("{target}.rs")).exists()
            || tests.join(target).join("main.rs").exists()
    };
    let (known, unknown): (Vec<_>, Vec<_>) = wanted.keys().partition(|target| exists(target));
    let mut outcomes = Outcomes::new();
    for target in unknown {
        outcomes.insert(target.clone(), Err(format!("there is no target {target}")));
    }
    let built = built(&known);
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap_or_default();
    for target in known {
        let outcome = built.clone().and_then(|built| {
            let program = built.get(target).ok_or("cargo has not told where it is")?;
            Ok(report(root, program, &wanted[target], has_own_main(&manifest, target)))
        });
        outcomes.insert(target.clone(), outcome);
    }
    outcomes
}

/// The programs of these targets, built as this one was, and the example that some of them start.
fn built(targets: &[&String]) -> Result<BTreeMap<String, PathBuf>, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().ok_or("no target folder")?;
    let place = own.strip_prefix(target).map_err(|error| error.to_string())?;
    let as_this_one = as_at(place)?;
    // What cargo tells a test of its package, build scripts would take for a change.
    let told = std::env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    });
    let told: Vec<_> = told.collect();
    let cargo = |arguments: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        for name in &told {
            cargo.env_remove(name);
        }
        let output = cargo
            .args(arguments)
            .args(&as_this_one)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("CARGO_TARGET_DIR", target)
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(format!("cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)))
        }
    };
    cargo(&["build", "--quiet", "--example", "chat_server"])?;
    let mut arguments = vec!["test", "--no-run", "--quiet", "--message-format=json"];
    for target in targets {
        match target.as_str() {
            LIBRARY => arguments.push("--lib"),
            target => arguments.extend(["--test", target]),
        }
    }
    let messages = cargo(&arguments)?;
    Ok(messages.lines().filter_map(artifact).collect())
}

/// The profile and the platform that a program at this place below the target folder was built
/// for.
pub(crate) fn as_at(place: &Path) -> Result<Vec<String>, String> {
    let parts: Vec<&str> = place.iter().filter_map(|part| part.to_str()).collect();
    let (platform, profile) = match parts[..] {
        [profile, "deps", _] => (None, profile),
        [platform, profile, "deps", _] => (Some(platform), profile),
        _ => return Err(format!("{} is no place for a test", place.display())),
    };
    let mut arguments = Vec::new();
    // What cargo does by itself has two profiles, one for tests and one for the rest.
    if profile != "debug" {
        arguments.extend(["--profile".to_owned(), profile.to_owned()]);
    }
    if let Some(platform) = platform {
        arguments.extend(["--target".to_owned(), platform.to_owned()]);
    }
    Ok(arguments)
}

/// The target and the program that a line of cargo's tells of, if it is a test's.
fn artifact(line: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let is_library = message["target"]["kind"] == serde_json::json!(["lib"]);
    let name = if is_library { LIBRARY } else { message["target"]["name"].as_str()? };
    Some((name.to_owned(), message["executable"].as_str()?.into()))
}

/// Whether a target's tests are found at run time: such a program takes one name at a time.
pub(crate) fn has_own_main(manifest: &str, target: &str) -> bool {
    manifest.contains(&format!("[[test]]\nname = \"{target}\"\nharness = false\n"))
}

fn report(root: &Path, program: &Path, names: &BTreeSet<String>, one_by_one: bool) -> Report {
    let names: Vec<&String> = names.iter().collect();
    let runs: Vec<&[&String]> =
        if one_by_one { names.chunks(1).collect() } else { vec![&names[..]] };
    let mut report = Report::new();
    for names in runs {
        // It fails if one of them does, and tells which.
        let output = Command::new(program).arg("--exact").args(names).current_dir(root).output();
        if let Ok(output) = output {
            report.extend(read(&String::from_utf8_lossy(&output.stdout)));
        }
    }
    report
}

/// What became of each test, by the lines of a target.
pub(crate) fn read(told: &str) -> Report {
    let outcome = |line: &str| {
        let (name, outcome) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
        // Where the tests are found at run time, one that needs something says so before its name.
        let name =
            name.strip_prefix('[').and_then(|name| name.split_once("] ")).map_or(name, |n| n.1);
        let name = name.strip_suffix(" - should panic").unwrap_or(name);
        Some((name.trim().to_owned(), outcome.trim().to_owned()))
    };
    told.lines().filter_map(outcome).collect()
}

const LIBRARY: &str = "lib";
