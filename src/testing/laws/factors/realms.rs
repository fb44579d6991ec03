//! A handle is bound to one realm, and what another realm keeps is not there.

use super::harness::{FOR_GOOD, FactorHarness, Factors, in_all};
use crate::core::id::RealmId;
use crate::testing::sample::{self, start};

fn two_realms<'h>(harness: &'h FactorHarness<'_>) -> (Factors<'h>, Factors<'h>) {
    let other = RealmId::new("çäsar's other realm").expect("a realm");
    (harness.store(), harness.store_in(other))
}

pub(super) fn handles_on_one_realm_keep_the_same_factors(harness: &FactorHarness<'_>) {
    let (one, two, owner) = (harness.store(), harness.store(), sample::owner(1));
    let version = one.put(&owner, "totp", b"sealed");
    assert_eq!(two.kept(&owner, "totp"), Some((version, b"sealed".to_vec())));
    for handle in [&one, &two] {
        assert_eq!(handle.granted(&owner, "c", &[in_all(2)], start()), 2);
        assert_eq!(one.reserve(&owner, "c", &[in_all(2)], start()), FOR_GOOD);
        assert_eq!(two.reserve(&owner, "c", &[in_all(2)], start()), FOR_GOOD);
        one.clear(&owner, "c");
    }
    assert!(one.raise(&owner, "m", 7));
    assert!(!two.raise(&owner, "m", 7));
}

pub(super) fn factors_of_another_realm_are_not_there(harness: &FactorHarness<'_>) {
    let ((here, there), owner) = (two_realms(harness), sample::owner(1));
    let version = here.put(&owner, "totp", b"here");
    assert_eq!(there.kept(&owner, "totp"), None);
    assert!(!there.set(&owner, "totp", version, None));
    assert!(there.set(&owner, "totp", 0, Some(b"there")));
    assert_eq!(here.kept(&owner, "totp"), Some((version, b"here".to_vec())));
}

pub(super) fn attempts_are_counted_in_one_realm(harness: &FactorHarness<'_>) {
    let ((here, there), owner) = (two_realms(harness), sample::owner(1));
    assert_eq!(here.granted(&owner, "c", &[in_all(2)], start()), 2);
    assert_eq!(there.granted(&owner, "c", &[in_all(2)], start()), 2);
    there.clear(&owner, "c");
    assert_eq!(here.reserve(&owner, "c", &[in_all(2)], start()), FOR_GOOD);
}

pub(super) fn marks_are_of_one_realm(harness: &FactorHarness<'_>) {
    let ((here, there), owner) = (two_realms(harness), sample::owner(1));
    assert!(here.raise(&owner, "m", 7));
    assert!(there.raise(&owner, "m", 7));
    assert!(!here.raise(&owner, "m", 7));
}
