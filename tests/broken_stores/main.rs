//! The laws notice what they are there to notice: a store with one flaw breaks exactly the laws
//! that the flaw concerns, and keeps all others.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "it is a test, and its store is broken anyway"
)]

mod broken;

use std::collections::BTreeSet;
use std::panic::{self, AssertUnwindSafe};

use keyfob::testing::block_on;
use keyfob::testing::laws::{Harness, LAWS};

/// The laws that a store with this flaw breaks.
fn broken_by(flaw: Flaw) -> BTreeSet<&'static str> {
    // What a law says when it fails is of no interest here.
    panic::set_hook(Box::new(|_| {}));
    let is_broken = |check: fn(&Harness<'_>)| {
        let harness = Harness::new(broken::fresh(flaw), |future| block_on(future));
        panic::catch_unwind(AssertUnwindSafe(|| check(&harness))).is_err()
    };
    LAWS.iter().filter(|law| is_broken(law.check)).map(|law| law.name).collect()
}

/// The difference goes into the error, since the hook swallows what a panic says.
fn breaks(flaw: Flaw, expected: &[&'static str]) -> Result<(), String> {
    let expected: BTreeSet<_> = expected.iter().copied().collect();
    let broken = broken_by(flaw);
    if broken == expected {
        return Ok(());
    }
    let kept: Vec<_> = expected.difference(&broken).collect();
    let besides: Vec<_> = broken.difference(&expected).collect();
    Err(format!("{flaw:?} keeps {kept:?} and breaks {besides:?} besides"))
}

impl Flaw {
    /// Whether the store behind it counts or compares tokens of one owner and kind.
    fn is_about_siblings(self) -> bool {
        let name = format!("{self:?}");
        name.starts_with("Names") || name.starts_with("Quotas")
    }
}

macro_rules! flaws {
    ($($(#[$doc:meta])* $test:ident: $flaw:ident breaks [$($law:ident)*];)+) => {
        /// One way to break the contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Flaw {
            $($(#[$doc])* $flaw,)+
        }

        $(
            #[test]
            fn $test() -> Result<(), String> {
                breaks(Flaw::$flaw, &[$(stringify!($law)),*])
            }
        )+

        const NOTICED: &[&str] = &[$($(stringify!($law),)*)+];
    };
}

#[test]
fn every_law_notices_a_flaw() -> Result<(), String> {
    let blind: Vec<_> =
        LAWS.iter().map(|law| law.name).filter(|law| !NOTICED.contains(law)).collect();
    if blind.is_empty() { Ok(()) } else { Err(format!("no flaw breaks {blind:?}")) }
}

flaws! {
    addresses_are_of_the_last_written: AddressesAreOfTheLastWritten breaks [
        the_address_goes_with_the_latest_use
    ];
    beginning_is_strict: BeginningIsStrict breaks [
        a_filter_selects_what_fits_in_every_respect
        tokens_are_filtered_by_creation
    ];
    bindings_are_lost: BindingsAreLost breaks [
        a_first_valid_instant_survives
        a_life_without_end_survives
        an_imported_tokens_usage_survives
        constraints_survive
        creators_survive
        digests_survive
        generations_of_secrets_survive
        grants_survive
        instants_survive_to_the_microsecond
        notes_survive
        owners_and_kinds_survive
        parents_survive
        states_survive
        texts_survive
        the_right_to_bypass_survives
    ];
    bypass_is_lost: BypassIsLost breaks [
        the_right_to_bypass_survives
    ];
    cascades_end_at_children: CascadesEndAtChildren breaks [
        a_cascade_goes_past_what_is_revoked_already
        a_cascade_revokes_all_that_was_minted
    ];
    cascades_end_at_the_revoked: CascadesEndAtTheRevoked breaks [
        a_cascade_goes_past_what_is_revoked_already
    ];
    cascades_invalidate_one_token: CascadesInvalidateOneToken breaks [
        what_changed_after_an_epoch_is_listed_in_order
    ];
    cascades_take_siblings: CascadesTakeSiblings breaks [
        a_cascade_spares_everybody_else
    ];
    changed_is_unordered: ChangedIsUnordered breaks [
        a_cursor_of_another_list_is_refused
        tokens_are_ordered_by_their_last_change
    ];
    changes_reach_other_realms: ChangesReachOtherRealms breaks [
        a_change_stays_in_its_realm
    ];
    changes_since_include_the_first: ChangesSinceIncludeTheFirst breaks [
        nothing_is_known_after_an_epoch_to_come
        nothing_is_listed_after_the_last_epoch
        what_changed_after_an_epoch_is_listed_in_order
    ];
    changes_take_the_time_of_their_events: ChangesTakeTheTimeOfTheirEvents breaks [
        a_cascade_revokes_all_that_was_minted
        a_mass_revocation_revokes_what_its_filter_selects
        deleting_an_owner_revokes_all_its_tokens
        the_time_of_the_last_change_never_goes_back
    ];
    constraints_are_lost: ConstraintsAreLost breaks [
        constraints_survive
    ];
    created_is_unordered: CreatedIsUnordered breaks [
        a_cursor_of_another_list_is_refused
        tokens_are_ordered_by_creation
    ];
    creator_tokens_are_lost: CreatorTokensAreLost breaks [
        creators_survive
    ];
    cursors_are_offsets: CursorsAreOffsets breaks [
        pages_keep_their_place_while_tokens_come_and_go
    ];
    deactivated_presenters_pass: DeactivatedPresentersPass breaks [
        a_deactivated_presenter_is_refused
    ];
    deactivations_reach_tokens: DeactivationsReachTokens breaks [
        a_look_up_is_of_one_snapshot
        a_presenter_of_an_inactive_owner_is_refused
        a_token_is_found_with_its_owners_state
        deactivating_an_owner_changes_no_token
        events_of_one_token_or_owner_are_listed_apart
        every_mutation_advances_the_epoch_by_one
        setting_a_standing_twice_changes_nothing
    ];
    deletions_keep_tokens: DeletionsKeepTokens breaks [
        deleting_an_owner_revokes_all_its_tokens
        leaving_deletion_begins_the_next_generation
        setting_a_standing_twice_changes_nothing
    ];
    digest_keys_are_lost: DigestKeysAreLost breaks [
        a_digest_is_found_with_its_scheme_and_key_only
        digests_survive
    ];
    digests_are_found_by_bytes: DigestsAreFoundByBytes breaks [
        a_digest_is_found_with_its_scheme_and_key_only
    ];
    duplicate_digests_are_accepted: DuplicateDigestsAreAccepted breaks [
        a_refused_insert_changes_nothing
        a_refused_insert_leaves_its_key_unused
        no_insert_replaces_a_token_of_the_same_digest
    ];
    duplicate_ids_are_accepted: DuplicateIdsAreAccepted breaks [
        a_refused_insert_changes_nothing
        a_refused_insert_leaves_its_key_unused
        an_insert_is_refused_for_the_first_reason
        no_insert_replaces_a_token_of_the_same_id
    ];
    early_presenters_pass: EarlyPresentersPass breaks [
        a_presenter_that_is_not_valid_yet_is_refused
    ];
    edits_are_no_events: EditsAreNoEvents breaks [
        a_list_of_events_has_one_to_a_thousand
        events_are_read_on_from_where_one_stopped
        events_of_one_token_or_owner_are_listed_apart
        every_field_of_an_event_survives
        every_mutation_appends_its_event
    ];
    edits_forget_notes: EditsForgetNotes breaks [
        a_change_sets_what_it_names_and_nothing_else
    ];
    empty_filters_select_the_unrevoked: EmptyFiltersSelectTheUnrevoked breaks [
        a_cascade_revokes_all_that_was_minted
        a_key_finds_the_first_token_ever_after
        a_token_is_kept_while_what_it_minted_is_there
        an_empty_filter_selects_all
        no_more_is_forgotten_than_asked
        only_what_was_dead_before_the_instant_is_forgotten
        states_survive
    ];
    empty_lists_select_all: EmptyListsSelectAll breaks [
        tokens_are_filtered_by_several_owners
        tokens_are_filtered_by_state
    ];
    end_is_inclusive: EndIsInclusive breaks [
        a_filter_selects_what_fits_in_every_respect
        tokens_are_filtered_by_creation
    ];
    endless_is_far_away: EndlessIsFarAway breaks [
        a_first_valid_instant_survives
        a_life_without_end_survives
    ];
    epochs_are_read_afterwards: EpochsAreReadAfterwards breaks [
        a_look_up_is_of_one_snapshot
    ];
    epochs_are_shared_by_realms: EpochsAreSharedByRealms breaks [
        events_and_epochs_are_of_one_realm
    ];
    epochs_go_by_two: EpochsGoByTwo breaks [
        a_look_up_is_of_one_snapshot
        a_mass_revocation_is_one_event_and_one_epoch
        epochs_have_no_gaps_under_contention
        every_mutation_advances_the_epoch_by_one
    ];
    epochs_of_finding_lag: EpochsOfFindingLag breaks [
        a_cascade_revokes_all_that_was_minted
        a_look_up_is_of_one_snapshot
        a_look_up_shows_every_change_that_has_returned
        a_mass_revocation_revokes_what_its_filter_selects
        a_new_token_is_found_as_it_was_returned
    ];
    epochs_to_come_are_known: EpochsToComeAreKnown breaks [
        nothing_is_known_after_an_epoch_to_come
    ];
    events_after_include_the_first: EventsAfterIncludeTheFirst breaks [
        events_are_read_on_from_where_one_stopped
    ];
    events_are_not_filtered_by_owner: EventsAreNotFilteredByOwner breaks [
        events_of_one_token_or_owner_are_listed_apart
    ];
    events_are_not_filtered_by_token: EventsAreNotFilteredByToken breaks [
        events_of_one_token_or_owner_are_listed_apart
    ];
    events_are_pruned_with_tokens: EventsArePrunedWithTokens breaks [
        a_forgotten_token_leaves_its_events_and_nothing_else
    ];
    events_are_shared_by_realms: EventsAreSharedByRealms breaks [
        events_and_epochs_are_of_one_realm
    ];
    events_follow_later: EventsFollowLater breaks [
        events_are_listed_in_the_order_of_commits
    ];
    events_forget_why: EventsForgetWhy breaks [
        every_field_of_an_event_survives
    ];
    every_address_is_new: EveryAddressIsNew breaks [
        a_known_address_tells_nothing
        a_new_address_is_told_of
        only_the_last_addresses_are_known
    ];
    every_revocation_cascades: EveryRevocationCascades breaks [
        a_cascade_goes_past_what_is_revoked_already
        only_a_cascading_revocation_reaches_children
    ];
    expired_is_strict: ExpiredIsStrict breaks [
        tokens_are_filtered_by_whether_they_have_expired
    ];
    expired_presenters_pass: ExpiredPresentersPass breaks [
        an_expired_presenter_is_refused
    ];
    expires_is_unordered: ExpiresIsUnordered breaks [
        a_cursor_of_another_list_is_refused
        tokens_are_ordered_by_expiry_with_endless_ones_last
    ];
    filter_ignores_beginning: FilterIgnoresBeginning breaks [
        a_filter_selects_what_fits_in_every_respect
        tokens_are_filtered_by_creation
    ];
    filter_ignores_end: FilterIgnoresEnd breaks [
        a_filter_selects_what_fits_in_every_respect
        tokens_are_filtered_by_creation
    ];
    filter_ignores_exceptions: FilterIgnoresExceptions breaks [
        a_filter_selects_what_fits_in_every_respect
        tokens_are_filtered_by_owners_that_are_left_out
    ];
    filter_ignores_expired: FilterIgnoresExpired breaks [
        a_filter_selects_what_fits_in_every_respect
        tokens_are_filtered_by_whether_they_have_expired
    ];
    filter_ignores_kind: FilterIgnoresKind breaks [
        a_filter_selects_what_fits_in_every_respect
        tokens_are_filtered_by_kind
    ];
    filter_ignores_name: FilterIgnoresName breaks [
        a_filter_selects_what_fits_in_every_respect
        tokens_are_filtered_by_name
    ];
    filter_ignores_outlives: FilterIgnoresOutlives breaks [
        a_filter_selects_what_fits_in_every_respect
        tokens_are_filtered_by_what_they_outlive
    ];
    filter_ignores_owner: FilterIgnoresOwner breaks [
        a_cascade_revokes_all_that_was_minted
        a_filter_selects_what_fits_in_every_respect
        a_key_issues_once_under_contention
        a_quota_holds_under_contention
        a_total_counts_all_that_is_selected
        tokens_are_filtered_by_owner
    ];
    filter_ignores_owners: FilterIgnoresOwners breaks [
        a_filter_selects_what_fits_in_every_respect
        tokens_are_filtered_by_several_owners
    ];
    filter_ignores_parent: FilterIgnoresParent breaks [
        a_filter_selects_what_fits_in_every_respect
        tokens_are_filtered_by_parent
    ];
    filter_ignores_states: FilterIgnoresStates breaks [
        a_filter_selects_what_fits_in_every_respect
        nothing_is_issued_to_an_owner_that_is_deleted_meanwhile
        tokens_are_filtered_by_state
    ];
    finding_is_stale: FindingIsStale breaks [
        a_change_advances_version_and_sequence_by_one
        a_change_sets_what_it_names_and_nothing_else
        a_look_up_shows_every_change_that_has_returned
        a_revocation_wins_every_race
        a_token_is_found_with_its_owners_state
        a_use_moves_forward_only
        deactivating_an_owner_changes_no_token
        deactivation_says_by_whom_why_and_when_and_can_be_undone
        no_insert_replaces_a_token_of_the_same_id
        the_address_goes_with_the_latest_use
    ];
    finding_reaches_other_realms: FindingReachesOtherRealms breaks [
        a_token_of_another_realm_is_not_found
    ];
    first_addresses_are_new: FirstAddressesAreNew breaks [
        a_new_address_is_told_of
    ];
    first_reports_stay: FirstReportsStay breaks [
        a_node_is_listed_as_it_last_reported
    ];
    forged_cursors_begin: ForgedCursorsBegin breaks [
        a_cursor_of_another_list_is_refused
    ];
    generations_stand_still: GenerationsStandStill breaks [
        leaving_deletion_begins_the_next_generation
        only_the_present_generation_gets_tokens
    ];
    handles_are_separate: HandlesAreSeparate breaks [
        a_look_up_shows_every_change_that_has_returned
        a_node_is_listed_as_it_last_reported
        two_handles_on_a_realm_are_the_same_store
    ];
    handles_forget_their_realm: HandlesForgetTheirRealm breaks [
        a_handle_knows_its_realm
    ];
    imported_usage_is_lost: ImportedUsageIsLost breaks [
        an_imported_tokens_usage_survives
    ];
    inactive_owners_get_tokens: InactiveOwnersGetTokens breaks [
        only_an_active_owner_gets_tokens
    ];
    instants_are_milliseconds: InstantsAreMilliseconds breaks [
        instants_survive_to_the_microsecond
    ];
    keys_are_forgotten: KeysAreForgotten breaks [
        a_key_finds_the_first_token_ever_after
        a_key_issues_once_under_contention
        an_insert_is_refused_for_the_first_reason
    ];
    keys_are_forgotten_with_their_tokens: KeysAreForgottenWithTheirTokens breaks [
        a_key_finds_the_first_token_ever_after
    ];
    keys_are_looked_up_before: KeysAreLookedUpBefore breaks [
        a_key_issues_once_under_contention
    ];
    keys_are_shared_by_owners: KeysAreSharedByOwners breaks [
        a_key_belongs_to_its_owner
        a_key_issues_once_under_contention
    ];
    keys_are_shared_by_realms: KeysAreSharedByRealms breaks [
        a_key_belongs_to_its_realm
    ];
    keys_are_used_up_by_refusals: KeysAreUsedUpByRefusals breaks [
        a_refused_insert_leaves_its_key_unused
    ];
    kinds_are_lost: KindsAreLost breaks [
        a_filter_selects_what_fits_in_every_respect
        a_mass_revocation_revokes_what_its_filter_selects
        a_name_is_taken_from_one_owner_and_kind_only
        a_quota_counts_one_owner_and_kind
        owners_and_kinds_survive
        tokens_are_filtered_by_kind
    ];
    lists_of_zero_events_are_empty: ListsOfZeroEventsAreEmpty breaks [
        a_list_of_events_has_one_to_a_thousand
    ];
    mass_revocations_are_two_steps: MassRevocationsAreTwoSteps breaks [
        a_mass_revocation_is_one_event_and_one_epoch
        every_mutation_advances_the_epoch_by_one
        every_mutation_appends_its_event
    ];
    mass_revocations_collect_first: MassRevocationsCollectFirst breaks [
        a_mass_revocation_is_one_event_and_one_epoch
        a_mass_revocation_misses_nothing_that_came_before
        a_mass_revocation_revokes_what_its_filter_selects
        every_mutation_advances_the_epoch_by_one
        every_mutation_appends_its_event
    ];
    mass_revocations_ignore_exceptions: MassRevocationsIgnoreExceptions breaks [
        a_mass_revocation_revokes_what_its_filter_selects
    ];
    mass_revocations_ignore_kinds: MassRevocationsIgnoreKinds breaks [
        a_mass_revocation_revokes_what_its_filter_selects
    ];
    mass_revocations_keep_versions: MassRevocationsKeepVersions breaks [
        a_mass_revocation_advances_each_version_and_sequence
    ];
    mass_revocations_tell_nothing: MassRevocationsTellNothing breaks [
        a_mass_revocation_is_one_event_and_one_epoch
        a_mass_revocation_misses_nothing_that_came_before
        a_mass_revocation_revokes_what_its_filter_selects
        a_revocation_stays_in_its_realm
    ];
    missing_is_not_told: MissingIsNotTold breaks [
        a_change_is_refused_for_the_first_reason
        a_change_of_an_unknown_token_is_missing
        a_change_stays_in_its_realm
    ];
    names_are_always_unique: NamesAreAlwaysUnique breaks [
        a_filter_selects_what_fits_in_every_respect
        an_insert_is_refused_for_the_first_reason
        names_repeat_where_uniqueness_is_not_asked
        tokens_are_filtered_by_name
    ];
    names_are_compared_before: NamesAreComparedBefore breaks [
        a_unique_name_is_given_once_under_contention
    ];
    names_are_cut: NamesAreCut breaks [
        texts_survive
    ];
    names_are_folded: NamesAreFolded breaks [
        names_differ_in_any_byte
    ];
    names_are_unique_across_kinds: NamesAreUniqueAcrossKinds breaks [
        a_name_is_taken_from_one_owner_and_kind_only
    ];
    names_end_with_expiry: NamesEndWithExpiry breaks [
        an_expired_token_keeps_its_name
    ];
    names_outlive_revocation: NamesOutliveRevocation breaks [
        revoking_frees_a_name_and_deactivating_does_not
    ];
    new_addresses_tell_nothing: NewAddressesTellNothing breaks [
        a_new_address_is_told_of
        only_the_last_addresses_are_known
    ];
    nodes_are_forgotten_early: NodesAreForgottenEarly breaks [
        a_node_is_kept_for_an_hour
    ];
    nodes_are_shared_by_realms: NodesAreSharedByRealms breaks [
        nodes_are_of_one_realm
    ];
    nodes_that_have_gone_stay: NodesThatHaveGoneStay breaks [
        a_node_that_has_gone_is_not_listed
    ];
    not_before_is_lost: NotBeforeIsLost breaks [
        a_first_valid_instant_survives
        a_presenter_that_is_not_valid_yet_is_refused
    ];
    notes_are_lost: NotesAreLost breaks [
        notes_survive
    ];
    number_is_of_the_last_change: NumberIsOfTheLastChange breaks [
        a_cursor_of_another_list_is_refused
        a_row_that_changes_keeps_its_place_in_other_orders
        an_empty_filter_selects_all
        tokens_are_filtered_by_state
        tokens_are_ordered_by_number
    ];
    numbers_are_not_found: NumbersAreNotFound breaks [
        a_new_token_is_found_as_it_was_returned
    ];
    numbers_shrink: NumbersShrink breaks [
        a_new_token_is_found_as_it_was_returned
        no_number_is_given_twice
        numbers_grow
        tokens_are_ordered_by_creation
        tokens_are_ordered_by_expiry_with_endless_ones_last
        tokens_are_ordered_by_number
        tokens_are_ordered_by_the_bytes_of_their_owners
        tokens_are_ordered_by_their_last_change
    ];
    numbers_start_again: NumbersStartAgain breaks [
        no_number_is_given_twice
    ];
    offsets_count_pages: OffsetsCountPages breaks [
        an_offset_skips_rows
    ];
    old_generations_get_tokens: OldGenerationsGetTokens breaks [
        a_refused_insert_changes_nothing
        a_refused_insert_leaves_its_key_unused
        an_insert_is_refused_for_the_first_reason
        only_the_present_generation_gets_tokens
    ];
    outlives_is_strict: OutlivesIsStrict breaks [
        tokens_are_filtered_by_what_they_outlive
    ];
    owner_is_unordered: OwnerIsUnordered breaks [
        a_cursor_of_another_list_is_refused
        tokens_are_ordered_by_the_bytes_of_their_owners
    ];
    owners_are_checked_before: OwnersAreCheckedBefore breaks [
        nothing_is_issued_to_an_owner_that_is_deleted_meanwhile
    ];
    owners_are_not_found: OwnersAreNotFound breaks [
        a_look_up_is_of_one_snapshot
        a_new_token_is_found_as_it_was_returned
        a_token_is_found_with_its_owners_state
    ];
    owners_are_not_invalidated: OwnersAreNotInvalidated breaks [
        what_changed_after_an_epoch_is_listed_in_order
    ];
    owners_are_read_afterwards: OwnersAreReadAfterwards breaks [
        a_look_up_is_of_one_snapshot
    ];
    owners_are_shared_by_realms: OwnersAreSharedByRealms breaks [
        an_owner_is_another_one_in_another_realm
    ];
    owners_show_no_sequence: OwnersShowNoSequence breaks [
        a_new_token_is_found_as_it_was_returned
        an_owners_sequence_counts_its_changes_and_those_of_its_tokens
        deactivating_an_owner_changes_no_token
        deleting_an_owner_revokes_all_its_tokens
        leaving_deletion_begins_the_next_generation
    ];
    pages_of_zero_are_empty: PagesOfZeroAreEmpty breaks [
        a_page_has_one_to_a_thousand_rows
    ];
    pages_skip_a_row: PagesSkipARow breaks [
        an_offset_skips_rows
        pages_have_neither_gaps_nor_repeats
        pages_keep_their_place_while_tokens_come_and_go
    ];
    parents_are_lost: ParentsAreLost breaks [
        a_cascade_goes_past_what_is_revoked_already
        a_cascade_revokes_all_that_was_minted
        a_cascade_spares_everybody_else
        a_filter_selects_what_fits_in_every_respect
        a_look_up_shows_every_change_that_has_returned
        a_token_is_kept_while_what_it_minted_is_there
        every_mutation_advances_the_epoch_by_one
        parents_survive
        tokens_are_filtered_by_parent
        what_changed_after_an_epoch_is_listed_in_order
    ];
    presenter_versions_are_ignored: PresenterVersionsAreIgnored breaks [
        a_change_is_refused_for_the_first_reason
        a_presenter_that_was_changed_since_is_refused
        a_refused_insert_changes_nothing
        a_refused_insert_leaves_its_key_unused
    ];
    presenters_are_checked_before: PresentersAreCheckedBefore breaks [
        nothing_is_minted_by_a_token_that_is_revoked_meanwhile
    ];
    presenters_are_refused: PresentersAreRefused breaks [
        a_live_presenter_is_accepted
        a_presenter_of_an_inactive_owner_is_refused
        a_presenter_that_was_changed_since_is_refused
        an_insert_is_refused_for_the_first_reason
    ];
    presenters_are_shared_by_realms: PresentersAreSharedByRealms breaks [
        a_presenter_of_another_realm_is_refused
    ];
    presenters_come_first: PresentersComeFirst breaks [
        a_change_is_refused_for_the_first_reason
    ];
    presenters_of_inactive_owners_pass: PresentersOfInactiveOwnersPass breaks [
        a_presenter_of_an_inactive_owner_is_refused
    ];
    previous_digests_are_lost: PreviousDigestsAreLost breaks [
        generations_of_secrets_survive
    ];
    pruning_ignores_its_limit: PruningIgnoresItsLimit breaks [
        no_more_is_forgotten_than_asked
    ];
    pruning_reaches_other_realms: PruningReachesOtherRealms breaks [
        a_change_stays_in_its_realm
    ];
    pruning_takes_parents: PruningTakesParents breaks [
        a_token_is_kept_while_what_it_minted_is_there
    ];
    pruning_takes_the_instant_too: PruningTakesTheInstantToo breaks [
        only_what_was_dead_before_the_instant_is_forgotten
    ];
    pruning_waits_for_the_later_end: PruningWaitsForTheLaterEnd breaks [
        only_what_was_dead_before_the_instant_is_forgotten
    ];
    queries_reach_other_realms: QueriesReachOtherRealms breaks [
        a_query_stays_in_its_realm
    ];
    quotas_are_counted_before: QuotasAreCountedBefore breaks [
        a_quota_holds_under_contention
    ];
    quotas_are_one_too_large: QuotasAreOneTooLarge breaks [
        a_quota_counts_deactivated_tokens
        a_quota_counts_neither_revoked_nor_expired_tokens
        a_quota_counts_one_owner_and_kind
        a_quota_holds_under_contention
        a_quota_is_the_most_that_an_owner_has
        a_refused_insert_changes_nothing
        a_refused_insert_leaves_its_key_unused
        an_insert_is_refused_for_the_first_reason
    ];
    quotas_are_shared_by_realms: QuotasAreSharedByRealms breaks [
        limits_are_counted_in_one_realm
    ];
    quotas_come_before_names: QuotasComeBeforeNames breaks [
        an_insert_is_refused_for_the_first_reason
    ];
    quotas_count_all_kinds: QuotasCountAllKinds breaks [
        a_quota_counts_one_owner_and_kind
    ];
    quotas_count_the_dead: QuotasCountTheDead breaks [
        a_quota_counts_neither_revoked_nor_expired_tokens
    ];
    quotas_skip_the_deactivated: QuotasSkipTheDeactivated breaks [
        a_quota_counts_deactivated_tokens
    ];
    reasons_are_lost: ReasonsAreLost breaks [
        a_cascade_revokes_all_that_was_minted
        a_change_sets_what_it_names_and_nothing_else
        a_mass_revocation_revokes_what_its_filter_selects
        deactivation_says_by_whom_why_and_when_and_can_be_undone
        revoked_tokens_stay_revoked
        states_survive
    ];
    refused_changes_are_events: RefusedChangesAreEvents breaks [
        a_deactivated_presenter_is_refused
        a_presenter_of_an_inactive_owner_is_refused
        a_presenter_that_is_not_valid_yet_is_refused
        a_presenter_that_was_changed_since_is_refused
        a_refused_change_changes_nothing
        a_revoked_presenter_is_refused
        an_expired_presenter_is_refused
        an_unknown_presenter_is_refused
    ];
    refused_inserts_are_events: RefusedInsertsAreEvents breaks [
        a_deactivated_presenter_is_refused
        a_presenter_of_an_inactive_owner_is_refused
        a_presenter_that_is_not_valid_yet_is_refused
        a_presenter_that_was_changed_since_is_refused
        a_refused_insert_changes_nothing
        a_revoked_presenter_is_refused
        an_expired_presenter_is_refused
        an_unknown_presenter_is_refused
    ];
    replaced_digests_are_found: ReplacedDigestsAreFound breaks [
        a_rotated_token_is_found_by_its_new_digest_only
    ];
    reports_are_changes: ReportsAreChanges breaks [
        a_report_is_no_change
    ];
    revocations_expect_a_version: RevocationsExpectAVersion breaks [
        a_revocation_wins_every_race
    ];
    revocations_reach_other_realms: RevocationsReachOtherRealms breaks [
        a_revocation_stays_in_its_realm
    ];
    revoked_presenters_pass: RevokedPresentersPass breaks [
        a_refused_change_changes_nothing
        a_revoked_presenter_is_refused
        nothing_is_minted_by_a_token_that_is_revoked_meanwhile
    ];
    revoked_tokens_are_changed: RevokedTokensAreChanged breaks [
        a_change_is_refused_for_the_first_reason
        a_refused_change_changes_nothing
        revoked_tokens_stay_revoked
    ];
    sequences_are_taken_before: SequencesAreTakenBefore breaks [
        sequences_follow_commits_under_contention
    ];
    sequences_go_by_two: SequencesGoByTwo breaks [
        a_change_advances_version_and_sequence_by_one
        a_change_sets_what_it_names_and_nothing_else
        a_mass_revocation_advances_each_version_and_sequence
        a_new_token_is_found_as_it_was_returned
        a_refused_change_changes_nothing
        a_refused_insert_changes_nothing
        an_owners_sequence_counts_its_changes_and_those_of_its_tokens
        deactivating_an_owner_changes_no_token
        deactivation_says_by_whom_why_and_when_and_can_be_undone
        deleting_an_owner_revokes_all_its_tokens
        leaving_deletion_begins_the_next_generation
        limits_are_counted_in_one_realm
        sequences_follow_commits_under_contention
        the_store_assigns_number_sequence_and_version
    ];
    spending_has_no_end: SpendingHasNoEnd breaks [
        a_spent_use_is_no_change_and_stays_spent
        a_token_is_good_for_so_many_uses
        the_last_use_is_had_once
        what_is_not_active_has_no_use_left
    ];
    spending_is_a_mutation: SpendingIsAMutation breaks [
        a_spent_use_is_no_change_and_stays_spent
    ];
    spending_is_read_then_written: SpendingIsReadThenWritten breaks [
        the_last_use_is_had_once
    ];
    spending_takes_what_is_blocked: SpendingTakesWhatIsBlocked breaks [
        what_is_not_active_has_no_use_left
    ];
    standings_are_set_again: StandingsAreSetAgain breaks [
        setting_a_standing_twice_changes_nothing
    ];
    stray_rows_are_stored: StrayRowsAreStored breaks [
        a_row_of_another_realm_is_not_stored
    ];
    the_last_page_is_empty: TheLastPageIsEmpty breaks [
        only_the_last_page_has_no_next_one
    ];
    ties_ascend: TiesAscend breaks [
        an_offset_skips_rows
        pages_have_neither_gaps_nor_repeats
        tokens_are_ordered_by_creation
        tokens_are_ordered_by_expiry_with_endless_ones_last
        tokens_are_ordered_by_the_bytes_of_their_owners
        tokens_are_ordered_by_their_last_change
    ];
    totals_are_counted_before: TotalsAreCountedBefore breaks [
        a_total_and_its_page_are_of_one_snapshot
    ];
    totals_are_of_the_page: TotalsAreOfThePage breaks [
        a_total_counts_all_that_is_selected
    ];
    unheard_owners_are_deactivated: UnheardOwnersAreDeactivated breaks [
        an_owner_is_another_one_in_another_realm
        an_owner_never_heard_of_is_active_in_generation_one
    ];
    unique_names_are_ignored: UniqueNamesAreIgnored breaks [
        a_refused_insert_changes_nothing
        a_refused_insert_leaves_its_key_unused
        a_unique_name_is_given_once
        a_unique_name_is_given_once_under_contention
        an_expired_token_keeps_its_name
        an_insert_is_refused_for_the_first_reason
        revoking_frees_a_name_and_deactivating_does_not
    ];
    unknown_presenters_pass: UnknownPresentersPass breaks [
        a_presenter_of_another_realm_is_refused
        an_insert_is_refused_for_the_first_reason
        an_unknown_presenter_is_refused
    ];
    unknown_scopes_are_lost: UnknownScopesAreLost breaks [
        grants_survive
    ];
    use_counts_are_replaced: UseCountsAreReplaced breaks [
        counts_of_uses_add_up
        no_use_is_lost_under_contention
    ];
    uses_are_mutations: UsesAreMutations breaks [
        a_known_address_tells_nothing
        a_new_address_is_told_of
        a_use_is_no_change
    ];
    uses_are_read_then_written: UsesAreReadThenWritten breaks [
        no_use_is_lost_under_contention
    ];
    uses_end_at_the_unknown: UsesEndAtTheUnknown breaks [
        a_use_of_an_unknown_token_is_skipped
    ];
    uses_move_backwards: UsesMoveBackwards breaks [
        a_use_moves_forward_only
    ];
    uses_reach_other_realms: UsesReachOtherRealms breaks [
        a_change_stays_in_its_realm
    ];
    versions_are_compared_before: VersionsAreComparedBefore breaks [
        one_of_many_changes_of_a_version_is_made
    ];
    versions_are_ignored: VersionsAreIgnored breaks [
        a_change_is_refused_for_the_first_reason
        a_change_of_another_version_is_a_conflict
        a_refused_change_changes_nothing
        one_of_many_changes_of_a_version_is_made
    ];
    versions_go_by_two: VersionsGoByTwo breaks [
        a_change_advances_version_and_sequence_by_one
        a_change_of_another_version_is_a_conflict
        a_change_sets_what_it_names_and_nothing_else
        a_look_up_is_of_one_snapshot
        a_mass_revocation_advances_each_version_and_sequence
        deactivation_says_by_whom_why_and_when_and_can_be_undone
        one_of_many_changes_of_a_version_is_made
        setting_a_standing_twice_changes_nothing
    ];
}
