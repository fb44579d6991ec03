//! What every [`FactorStore`](crate::ports::factors::FactorStore) must do.

mod attempts;
mod harness;
mod marks;
mod realms;
mod records;

pub use self::harness::FactorHarness;

/// One thing that every store of factors must do.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FactorLaw {
    /// The fact, as a name for a test.
    pub name: &'static str,
    /// Panics when the store does otherwise. It expects a store that nobody has used yet.
    pub check: fn(&FactorHarness<'_>),
}

/// Checks the law of this name: what [`factor_store_laws!`](crate::factor_store_laws) expands to.
#[doc(hidden)]
pub fn check(name: &str, harness: &FactorHarness<'_>) {
    let law = FACTOR_LAWS.iter().find(|law| law.name == name).expect("a law of this name");
    (law.check)(harness);
}

/// The one list of laws about factors, handed on like that of
/// [`store_laws!`](crate::store_laws).
#[doc(hidden)]
#[macro_export]
macro_rules! __with_factor_laws {
    (($($macro:tt)+) $($before:tt)*) => {
        $($macro)+! { $($before)*
            attempts:
                a_limit_grants_that_many_attempts
                a_limit_of_zero_grants_nothing
                attempts_without_a_limit_count_too
                a_limit_holds_under_contention
                several_limits_hold_together
                a_window_slides
                a_locked_attempt_is_told_until_when
                a_locked_attempt_counts_for_nothing
                peeking_tells_what_reserving_would_and_counts_nothing
                a_clock_that_goes_back_grants_nothing_more
                a_window_may_have_no_end
                a_window_holds_two_hundred
                attempts_are_counted_by_owner_and_counter
                cleared_attempts_are_forgotten
                clearing_reaches_one_counter_only
                nobody_forgets_because_others_fail
                a_dropped_reservation_gives_no_free_attempt;
            marks:
                a_mark_goes_up_only
                a_mark_is_raised_once_under_contention
                a_mark_ends_at_the_highest_under_contention
                a_mark_is_of_one_owner_and_name
                a_mark_holds_every_number;
            realms:
                handles_on_one_realm_keep_the_same_factors
                factors_of_another_realm_are_not_there
                attempts_are_counted_in_one_realm
                marks_are_of_one_realm;
            records:
                a_factor_is_found_as_it_was_set
                sealed_bytes_survive
                a_factor_is_set_if_it_has_the_expected_version
                a_refused_change_of_a_factor_changes_nothing
                a_removed_factor_is_not_there
                no_version_of_a_factor_comes_back
                a_factor_is_added_once_under_contention
                a_version_of_a_factor_is_replaced_once_under_contention
                a_factor_is_of_one_owner_and_method;
        }
    };
}

macro_rules! list {
    ($($module:ident: $($law:ident)+;)+) => {
        /// All laws about factors.
        pub const FACTOR_LAWS: &[FactorLaw] =
            &[$($(FactorLaw { name: stringify!($law), check: $module::$law },)+)+];
    };
}
__with_factor_laws! { (list) }

/// Makes a test of each law of [`FactorStore`](crate::ports::factors::FactorStore).
///
/// The arguments are those of [`store_laws!`](crate::store_laws). No two laws have one name, so
/// that both may stand in one module.
///
/// ```
/// # #[cfg(feature = "memory")] mod factor_store_laws {
/// use keyfob::store::memory::MemoryStore;
/// use keyfob::testing::{block_on, sample};
///
/// keyfob::factor_store_laws! {
///     fresh = { let store = MemoryStore::new(sample::realm()); move |realm| store.in_realm(realm) },
///     block_on = block_on,
/// }
/// # }
/// ```
#[macro_export]
macro_rules! factor_store_laws {
    (fresh = $fresh:expr, block_on = $block_on:expr $(,)?) => {
        $crate::__with_factor_laws! { ($crate::__factor_law_tests) $fresh, $block_on; }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __factor_law_tests {
    ($fresh:expr, $block_on:expr; $($module:ident: $($law:ident)+;)+) => {
        $crate::__factor_law_tests! { @each $fresh, $block_on; $($($law)+)+ }
    };
    (@each $fresh:expr, $block_on:expr; $($law:ident)+) => {
        $(
            #[test]
            fn $law() {
                let harness =
                    $crate::testing::laws::FactorHarness::new($fresh, |future| ($block_on)(future));
                $crate::testing::laws::check_factor_law(stringify!($law), &harness);
            }
        )+
    };
}
