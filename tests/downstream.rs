//! A crate of somebody else's builds on this one, with the core alone and with the laws.
//!
//! It is a package of its own, so that its features are not mixed with those of this one's tests.
//! It is tested as a copy beside this package's lock file, without the network: everything that
//! it needs was fetched for this package.
#![expect(clippy::unwrap_used, reason = "what cannot be copied or started fails the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use keyfob::testing::laws::LAWS;

#[test]
fn the_core_alone_verifies_a_hosts_own_rows() {
    let copy = copy("core");
    let passed = test(&copy, &[]);
    assert!(passed >= 6, "only {passed} tests ran");
    // The core brings no runtime, no server and no system's generator into the tree.
    let tree = cargo(&copy, &["tree", "--edges", "normal", "--prefix", "none"]);
    for outsider in ["tokio v", "axum v", "http v", "tower", "rustix v", "getrandom v"] {
        assert!(!tree.lines().any(|line| line.starts_with(outsider)), "{outsider} in\n{tree}");
    }
    assert!(tree.contains("sha2 v"), "nothing would be found in\n{tree}");
}

#[test]
fn a_hosts_own_store_keeps_the_laws() {
    let passed = test(&copy("laws"), &["--features", "laws"]);
    assert!(passed > LAWS.len(), "only {passed} tests ran, and there are {} laws", LAWS.len());
}

/// How many tests passed; fails if one did not.
fn test(package: &Path, arguments: &[&str]) -> usize {
    let said = cargo(package, &[&["test"], arguments].concat());
    let results = said.lines().filter_map(|line| line.strip_prefix("test result: ok. "));
    results.filter_map(|line| line.split(' ').next()?.parse::<usize>().ok()).sum()
}

/// What cargo says; fails if it does.
fn cargo(package: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .arg("--offline")
        .current_dir(package)
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("downstream_target"))
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}:\n{said}\n{errors}");
    said
}

/// The package with the path of this one in it, and this one's lock file.
fn copy(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("downstream_{name}"));
    let _ = fs::remove_dir_all(&copy);
    for folder in ["src", "tests"] {
        fs::create_dir_all(copy.join(folder)).unwrap();
        for entry in fs::read_dir(root.join("tests/downstream").join(folder)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.join(folder).join(entry.file_name())).unwrap();
        }
    }
    let manifest = fs::read_to_string(root.join("tests/downstream/Cargo.toml")).unwrap();
    let here = format!("path = {:?}", root.to_str().unwrap());
    assert!(manifest.contains(r#"path = "../..""#));
    fs::write(copy.join("Cargo.toml"), manifest.replace(r#"path = "../..""#, &here)).unwrap();
    fs::copy(root.join("Cargo.lock"), copy.join("Cargo.lock")).unwrap();
    copy
}
