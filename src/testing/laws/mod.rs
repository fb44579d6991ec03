//! What every [`TokenStore`](crate::ports::store::TokenStore) and every
//! [`FactorStore`](crate::ports::factors::FactorStore) must do, as functions that panic where it
//! does not.
//!
//! [`store_laws!`](crate::store_laws) and [`factor_store_laws!`](crate::factor_store_laws) make a
//! test of each law. A harness of another kind goes
//! through [`LAWS`] and [`FACTOR_LAWS`] instead:
//!
//! ```
//! # #[cfg(feature = "memory")] {
//! use keyfob::store::memory::MemoryStore;
//! use keyfob::testing::laws::{Harness, LAWS};
//! use keyfob::testing::{block_on, sample};
//!
//! let law = LAWS.iter().find(|law| law.name == "numbers_grow").expect("a law of this name");
//! let store = MemoryStore::new(sample::realm());
//! (law.check)(&Harness::new(|realm| store.in_realm(realm), |future| block_on(future)));
//! # }
//! ```
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a law fails by panicking"
)]

mod changes;
mod epochs;
mod events;
mod factors;
mod fields;
mod filters;
mod harness;
mod insertion;
mod limits;
mod nodes;
mod owners;
mod pages;
mod presenters;
mod pruning;
mod realms;
mod revocation;
mod usage;

#[doc(hidden)]
pub use self::factors::check as check_factor_law;
pub use self::factors::{FACTOR_LAWS, FactorHarness, FactorLaw};
pub use self::harness::Harness;

/// One thing that every store must do.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Law {
    /// The fact, as a name for a test.
    pub name: &'static str,
    /// Panics when the store does otherwise. It expects a store that nobody has used yet.
    pub check: fn(&Harness<'_>),
}

/// Checks the law of this name: what [`store_laws!`](crate::store_laws) expands to.
#[doc(hidden)]
pub fn check(name: &str, harness: &Harness<'_>) {
    let law = LAWS.iter().find(|law| law.name == name).expect("a law of this name");
    (law.check)(harness);
}

/// The one list of laws: hands `module: law law …;` to another macro. A law that is missing here
/// is dead code, which the compiler reports.
#[doc(hidden)]
#[macro_export]
macro_rules! __with_store_laws {
    (($($macro:tt)+) $($before:tt)*) => {
        $($macro)+! { $($before)*
            changes:
                a_change_sets_what_it_names_and_nothing_else
                a_change_advances_version_and_sequence_by_one
                the_time_of_the_last_change_never_goes_back
                a_change_of_another_version_is_a_conflict
                a_change_of_an_unknown_token_is_missing
                a_change_is_refused_for_the_first_reason
                a_refused_change_changes_nothing
                one_of_many_changes_of_a_version_is_made
                deactivation_says_by_whom_why_and_when_and_can_be_undone
                a_rotated_token_is_found_by_its_new_digest_only
                a_digest_is_found_with_its_scheme_and_key_only
                sequences_follow_commits_under_contention;
            epochs:
                every_mutation_advances_the_epoch_by_one
                epochs_have_no_gaps_under_contention
                what_changed_after_an_epoch_is_listed_in_order
                nothing_is_listed_after_the_last_epoch
                nothing_is_known_after_an_epoch_to_come
                a_look_up_shows_every_change_that_has_returned
                a_look_up_is_of_one_snapshot;
            events:
                every_mutation_appends_its_event
                every_field_of_an_event_survives
                events_are_listed_in_the_order_of_commits
                events_of_one_token_or_owner_are_listed_apart
                events_are_read_on_from_where_one_stopped
                a_list_of_events_has_one_to_a_thousand;
            fields:
                texts_survive
                notes_survive
                owners_and_kinds_survive
                instants_survive_to_the_microsecond
                a_life_without_end_survives
                a_first_valid_instant_survives
                grants_survive
                constraints_survive
                digests_survive
                generations_of_secrets_survive
                creators_survive
                parents_survive
                states_survive
                the_right_to_bypass_survives
                an_imported_tokens_usage_survives;
            filters:
                an_empty_filter_selects_all
                tokens_are_filtered_by_owner
                tokens_are_filtered_by_several_owners
                tokens_are_filtered_by_owners_that_are_left_out
                tokens_are_filtered_by_kind
                tokens_are_filtered_by_name
                tokens_are_filtered_by_parent
                tokens_are_filtered_by_state
                tokens_are_filtered_by_what_they_outlive
                tokens_are_filtered_by_whether_they_have_expired
                tokens_are_filtered_by_creation
                a_filter_selects_what_fits_in_every_respect;
            insertion:
                a_new_token_is_found_as_it_was_returned
                numbers_grow
                the_store_assigns_number_sequence_and_version
                no_insert_replaces_a_token_of_the_same_id
                no_insert_replaces_a_token_of_the_same_digest
                an_insert_is_refused_for_the_first_reason
                a_refused_insert_changes_nothing
                a_key_finds_the_first_token_ever_after
                a_key_belongs_to_its_owner
                a_refused_insert_leaves_its_key_unused
                a_key_issues_once_under_contention;
            limits:
                a_unique_name_is_given_once
                a_name_is_taken_from_one_owner_and_kind_only
                names_repeat_where_uniqueness_is_not_asked
                names_differ_in_any_byte
                revoking_frees_a_name_and_deactivating_does_not
                an_expired_token_keeps_its_name
                a_unique_name_is_given_once_under_contention
                a_quota_is_the_most_that_an_owner_has
                a_quota_counts_neither_revoked_nor_expired_tokens
                a_quota_counts_deactivated_tokens
                a_quota_counts_one_owner_and_kind
                a_quota_holds_under_contention;
            owners:
                an_owner_never_heard_of_is_active_in_generation_one
                only_an_active_owner_gets_tokens
                only_the_present_generation_gets_tokens
                deactivating_an_owner_changes_no_token
                a_token_is_found_with_its_owners_state
                deleting_an_owner_revokes_all_its_tokens
                leaving_deletion_begins_the_next_generation
                setting_a_standing_twice_changes_nothing
                an_owners_sequence_counts_its_changes_and_those_of_its_tokens;
            pages:
                tokens_are_ordered_by_their_last_change
                tokens_are_ordered_by_creation
                tokens_are_ordered_by_expiry_with_endless_ones_last
                tokens_are_ordered_by_number
                tokens_are_ordered_by_the_bytes_of_their_owners
                pages_have_neither_gaps_nor_repeats
                only_the_last_page_has_no_next_one
                pages_keep_their_place_while_tokens_come_and_go
                an_offset_skips_rows
                a_total_counts_all_that_is_selected
                a_total_and_its_page_are_of_one_snapshot
                a_page_has_one_to_a_thousand_rows
                a_cursor_of_another_list_is_refused
                a_row_that_changes_keeps_its_place_in_other_orders;
            presenters:
                a_live_presenter_is_accepted
                a_deactivated_presenter_is_refused
                a_revoked_presenter_is_refused
                a_presenter_that_was_changed_since_is_refused
                an_expired_presenter_is_refused
                a_presenter_that_is_not_valid_yet_is_refused
                a_presenter_of_an_inactive_owner_is_refused
                an_unknown_presenter_is_refused
                nothing_is_minted_by_a_token_that_is_revoked_meanwhile
                nothing_is_issued_to_an_owner_that_is_deleted_meanwhile;
            nodes:
                a_node_is_listed_as_it_last_reported
                a_node_that_has_gone_is_not_listed
                a_node_is_kept_for_an_hour
                nodes_are_of_one_realm
                a_report_is_no_change;
            pruning:
                only_what_was_dead_before_the_instant_is_forgotten
                no_more_is_forgotten_than_asked
                a_token_is_kept_while_what_it_minted_is_there
                a_forgotten_token_leaves_its_events_and_nothing_else
                no_number_is_given_twice;
            realms:
                a_handle_knows_its_realm
                two_handles_on_a_realm_are_the_same_store
                a_token_of_another_realm_is_not_found
                a_query_stays_in_its_realm
                a_change_stays_in_its_realm
                a_revocation_stays_in_its_realm
                an_owner_is_another_one_in_another_realm
                limits_are_counted_in_one_realm
                a_key_belongs_to_its_realm
                events_and_epochs_are_of_one_realm
                a_row_of_another_realm_is_not_stored
                a_presenter_of_another_realm_is_refused;
            revocation:
                revoked_tokens_stay_revoked
                a_revocation_wins_every_race
                a_cascade_revokes_all_that_was_minted
                a_cascade_goes_past_what_is_revoked_already
                a_cascade_spares_everybody_else
                only_a_cascading_revocation_reaches_children
                a_mass_revocation_revokes_what_its_filter_selects
                a_mass_revocation_advances_each_version_and_sequence
                a_mass_revocation_is_one_event_and_one_epoch
                a_mass_revocation_misses_nothing_that_came_before;
            usage:
                a_use_moves_forward_only
                the_address_goes_with_the_latest_use
                counts_of_uses_add_up
                no_use_is_lost_under_contention
                a_use_is_no_change
                a_use_of_an_unknown_token_is_skipped
                a_new_address_is_told_of
                a_known_address_tells_nothing
                only_the_last_addresses_are_known
                a_token_is_good_for_so_many_uses
                the_last_use_is_had_once
                what_is_not_active_has_no_use_left
                a_spent_use_is_no_change_and_stays_spent;
        }
    };
}

macro_rules! list {
    ($($module:ident: $($law:ident)+;)+) => {
        /// All laws.
        pub const LAWS: &[Law] =
            &[$($(Law { name: stringify!($law), check: $module::$law },)+)+];
    };
}
__with_store_laws! { (list) }

/// Makes a test of each law of [`TokenStore`](crate::ports::store::TokenStore).
///
/// `fresh` is evaluated once for each test, and must set up an empty store and yield a function
/// from a [`RealmId`](crate::RealmId) to a handle on that store. `block_on` runs a future to its
/// end; it is called from many threads at once.
///
/// ```
/// # #[cfg(feature = "memory")] mod store_laws {
/// use keyfob::store::memory::MemoryStore;
/// use keyfob::testing::{block_on, sample};
///
/// keyfob::store_laws! {
///     fresh = { let store = MemoryStore::new(sample::realm()); move |realm| store.in_realm(realm) },
///     block_on = block_on,
/// }
/// # }
/// ```
#[macro_export]
macro_rules! store_laws {
    (fresh = $fresh:expr, block_on = $block_on:expr $(,)?) => {
        $crate::__with_store_laws! { ($crate::__store_law_tests) $fresh, $block_on; }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __store_law_tests {
    ($fresh:expr, $block_on:expr; $($module:ident: $($law:ident)+;)+) => {
        $crate::__store_law_tests! { @each $fresh, $block_on; $($($law)+)+ }
    };
    (@each $fresh:expr, $block_on:expr; $($law:ident)+) => {
        $(
            #[test]
            fn $law() {
                let harness = $crate::testing::laws::Harness::new($fresh, |future| ($block_on)(future));
                $crate::testing::laws::check(stringify!($law), &harness);
            }
        )+
    };
}
