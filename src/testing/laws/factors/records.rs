//! A factor is set by who knows its version.

use super::harness::FactorHarness;
use crate::testing::laws::harness::race;
use crate::testing::sample;

pub(super) fn a_factor_is_found_as_it_was_set(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    assert_eq!(store.kept(&owner, "totp"), None);
    assert!(store.set(&owner, "totp", 0, Some(b"first")));
    let (first, sealed) = store.kept(&owner, "totp").expect("a factor");
    assert_eq!(sealed, b"first");
    assert!(first > 0, "zero means that there is none");
    assert!(store.set(&owner, "totp", first, Some(b"second")));
    let (second, sealed) = store.kept(&owner, "totp").expect("a factor");
    assert_eq!(sealed, b"second");
    assert!(second > first);
}

pub(super) fn sealed_bytes_survive(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let long: Vec<u8> = (0..64 * 1024_u32).map(|n| (n * n / 7) as u8).collect();
    for sealed in [&[][..], &[0], b"\0\0", "text, ä".as_bytes(), &[0xFF; 33], &all, &long] {
        store.put(&owner, "totp", sealed);
        let found = store.factor(&owner, "totp").expect("no bytes are a factor too");
        assert!(found.sealed == sealed, "{} bytes were changed", sealed.len());
    }
}

pub(super) fn a_factor_is_set_if_it_has_the_expected_version(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    assert!(!store.set(&owner, "totp", 1, Some(b"wrong")));
    assert!(!store.set(&owner, "totp", 1, None));
    let version = store.put(&owner, "totp", b"right");
    for expects in [0, version - 1, version + 1, u64::MAX] {
        assert!(!store.set(&owner, "totp", expects, Some(b"wrong")), "{expects}");
        assert!(!store.set(&owner, "totp", expects, None), "{expects}");
    }
    assert!(store.set(&owner, "totp", version, None));
}

pub(super) fn a_refused_change_of_a_factor_changes_nothing(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    store.set(&owner, "totp", 1, Some(b"wrong"));
    assert_eq!(store.kept(&owner, "totp"), None);
    let version = store.put(&owner, "totp", b"right");
    for expects in [0, version + 1] {
        store.set(&owner, "totp", expects, Some(b"wrong"));
        store.set(&owner, "totp", expects, None);
        assert_eq!(store.kept(&owner, "totp"), Some((version, b"right".to_vec())));
    }
    store.set(&owner, "totp", version, None);
    store.set(&owner, "totp", version, Some(b"wrong"));
    assert_eq!(store.kept(&owner, "totp"), None);
}

pub(super) fn a_removed_factor_is_not_there(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    assert!(store.set(&owner, "totp", 0, None), "there is none, as expected");
    assert_eq!(store.kept(&owner, "totp"), None);
    let version = store.put(&owner, "totp", b"sealed");
    assert!(store.set(&owner, "totp", version, None));
    assert_eq!(store.kept(&owner, "totp"), None);
    assert!(store.set(&owner, "totp", 0, None), "there is none any more");
    assert!(store.set(&owner, "totp", 0, Some(b"again")));
    assert_eq!(store.kept(&owner, "totp").map(|(_, sealed)| sealed), Some(b"again".to_vec()));
}

pub(super) fn no_version_of_a_factor_comes_back(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    let mut last = 0;
    for _ in 0..3 {
        for sealed in [b"one", b"two"] {
            let version = store.put(&owner, "totp", sealed);
            assert!(version > last, "version {version} after {last}");
            assert!(!store.set(&owner, "totp", last, Some(b"old")), "{last} was replaced");
            last = version;
        }
        assert!(store.set(&owner, "totp", last, None));
    }
}

pub(super) fn a_factor_is_added_once_under_contention(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    for round in 0..4 {
        let method = format!("method {round}");
        let answers = race(|n| store.set(&owner, &method, 0, Some(&[n as u8])));
        let set: Vec<_> = (0..).zip(&answers).filter(|(_, set)| **set).collect();
        let [(n, _)] = set[..] else { panic!("{} of them added it", set.len()) };
        assert_eq!(store.factor(&owner, &method).expect("a factor").sealed, [n]);
    }
}

pub(super) fn a_version_of_a_factor_is_replaced_once_under_contention(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    // The races are for later versions: that the first is not 0, which means "none", is for other
    // laws, and here it would be found only if the one that removes it comes first.
    store.put(&owner, "totp", b"first");
    for _ in 0..4 {
        let version = store.put(&owner, "totp", b"before");
        // One in four removes it.
        let sealed = |n: u64| (!n.is_multiple_of(4)).then(|| vec![n as u8]);
        let answers = race(|n| store.set(&owner, "totp", version, sealed(n).as_deref()));
        let set: Vec<_> = (0..).zip(&answers).filter(|(_, set)| **set).collect();
        let [(n, _)] = set[..] else { panic!("{} of them replaced it", set.len()) };
        let now = store.kept(&owner, "totp");
        assert_eq!(now.as_ref().map(|(_, sealed)| sealed), sealed(n).as_ref());
        assert!(now.is_none_or(|(now, _)| now > version));
    }
}

pub(super) fn a_factor_is_of_one_owner_and_method(harness: &FactorHarness<'_>) {
    let store = harness.store();
    let methods = ["totp", "TOTP", "totp ", "tötp", "email", ""];
    let all: Vec<_> = [1, 2, 11].iter().flat_map(|n| methods.map(|method| (*n, method))).collect();
    for (n, method) in &all {
        let sealed = format!("{n} {method}");
        assert!(store.set(&sample::owner(*n), method, 0, Some(sealed.as_bytes())), "{sealed}");
    }
    for (n, method) in &all {
        let found = store.factor(&sample::owner(*n), method).expect("a factor");
        assert_eq!(found.sealed, format!("{n} {method}").as_bytes());
        assert!(store.set(&sample::owner(*n), method, found.version, None));
    }
}
