//! Nothing is wrong in these, however it looks.

use crate::history::{NEVER, Operation, Outcome, Reason, Summary, Terms};
use crate::words::*;

const DIED: Outcome = Outcome::Indeterminate;

#[test]
fn accepted_elsewhere_just_within_the_bound() {
    let summary = holds(&[issued(0, 0..1), revoked(0, 10..20), accepted(0, 119..500).on(1)]);
    assert_eq!(summary.lags, [99]);
}

#[test]
fn accepted_where_it_is_being_revoked() {
    holds(&[
        issued(0, 0..1),
        revoked(0, 10..20).fenced(),
        accepted(0, 19..30),
        accepted(0, 12..25).on(1),
    ]);
}

#[test]
fn accepted_strictly_while_it_is_being_revoked() {
    holds(&[issued(0, 0..1), revoked(0, 10..20), accepted(0, 19..30).strictly()]);
}

#[test]
fn accepted_during_a_reactivation() {
    holds(&[
        issued(0, 0..1),
        deactivated(token(0), 10..20),
        reactivated(token(0), 200..300),
        accepted(0, 190..201),
        accepted(0, 210..220).strictly(),
        refused(0, 250..301),
    ]);
}

#[test]
fn accepted_after_a_reactivation_that_overlapped_the_deactivation() {
    holds(&[
        issued(0, 0..1),
        deactivated(token(0), 10..20),
        reactivated(token(0), 15..18),
        accepted(0, 500..501),
        refused(0, 600..601),
    ]);
}

#[test]
fn accepted_and_refused_after_a_reactivation_of_unknown_end() {
    holds(&[
        issued(0, 0..1),
        deactivated(token(0), 10..20),
        reactivated(token(0), 30..NEVER).ended(DIED),
        accepted(0, 500..501),
        refused(0, 600..601),
    ]);
}

#[test]
fn accepted_though_a_reactivation_of_unknown_end_is_older_than_the_deactivation() {
    holds(&[
        issued(0, 0..1),
        reactivated(token(0), 5..6).ended(Outcome::Unavailable),
        deactivated(token(0), 10..20),
        accepted(0, 500..501),
    ]);
}

#[test]
fn accepted_and_refused_after_a_revocation_of_unknown_end() {
    for end in [DIED, Outcome::Unavailable] {
        holds(&[
            issued(0, 0..1),
            revoked(0, 10..20).fenced().ended(end),
            accepted(0, 500..501),
            accepted(0, 500..501).strictly(),
            refused(0, 600..601),
            accepted(0, 700..701).on(1),
        ]);
    }
}

#[test]
fn refused_after_the_first_of_two_ways_that_may_have_ended_it() {
    holds(&[
        issued(0, 0..1),
        revoked_all(0, 10..11).ended(Outcome::Unavailable),
        refused(0, 20..21),
        revoked(0, 50..60),
    ]);
}

#[test]
fn accepted_and_refused_after_all_may_have_been_revoked() {
    holds(&[
        issued(0, 0..1),
        minted(1, 0, 2..3),
        revoked_all(0, 10..NEVER).ended(DIED),
        cascaded(0, 20..NEVER).ended(DIED),
        accepted(1, 500..501).strictly(),
        refused(1, 600..601),
        connected(1, 30..NEVER),
        connected(1, 30..900).ended(Outcome::Refused(Reason::Unsaid)),
    ]);
}

#[test]
fn accepted_during_a_reactivation_that_another_overtook() {
    holds(&[
        issued(0, 0..1),
        deactivated(token(0), 10..20),
        reactivated(token(0), 30..100),
        reactivated(token(0), 40..50),
        accepted(0, 31..35).strictly(),
    ]);
}

#[test]
fn refused_after_a_deactivation_in_no_time() {
    holds(&[deactivated(token(0), 0..0), issued(0, 0..1), refused(0, 5..6)]);
}

#[test]
fn opened_and_closed_in_no_time() {
    holds(&[issued(0, 0..1), revoked(0, 10..20), connected(0, 500..500), connected(0, 500..NEVER)]);
}

#[test]
fn accepted_in_no_time() {
    holds(&[issued(0, 0..0), accepted(0, 5..5), connected(0, 6..6)]);
}

#[test]
fn refused_after_a_deactivation_of_unknown_end_and_a_reactivation() {
    holds(&[
        issued(0, 0..1),
        deactivated(token(0), 10..NEVER).ended(DIED),
        reactivated(token(0), 30..40),
        accepted(0, 50..51),
        refused(0, 60..61),
    ]);
}

#[test]
fn accepted_after_a_revocation_that_was_refused() {
    holds(&[
        issued(0, 0..1),
        revoked(0, 10..20).ended(Outcome::Refused(Reason::Unsaid)),
        accepted(0, 500..501),
    ]);
}

#[test]
fn accepted_after_the_owner_came_back() {
    let summary = holds(&[
        issued(0, 0..1),
        deactivated(OWNER, 10..20).fenced(),
        refused(0, 20..21).ended(Outcome::Refused(Reason::Deactivated)),
        reactivated(OWNER, 30..40),
        accepted(0, 41..42).on(1),
        accepted(0, 500..501),
    ]);
    assert_eq!(summary.bounded.barred, 1);
}

#[test]
fn accepted_between_two_deactivations() {
    holds(&[
        issued(0, 0..1),
        deactivated(token(0), 300..310),
        reactivated(token(0), 200..210),
        deactivated(token(0), 10..20),
        accepted(0, 220..230),
    ]);
}

#[test]
fn refused_while_it_is_being_deactivated_again() {
    holds(&[
        issued(0, 0..1),
        deactivated(token(0), 10..20),
        reactivated(token(0), 30..40),
        deactivated(token(0), 50..60),
        refused(0, 41..51),
    ]);
}

#[test]
fn refused_because_its_owner_is_still_away() {
    holds(&[
        issued(0, 0..1),
        deactivated(OWNER, 10..20),
        deactivated(token(0), 10..20),
        reactivated(token(0), 30..40),
        refused(0, 50..51),
    ]);
}

#[test]
fn unavailable_for_a_live_token() {
    let summary = holds(&[issued(0, 0..1), accepted(0, 2..3).ended(Outcome::Unavailable)]);
    assert_eq!(summary.bounded.unavailable, 1);
}

#[test]
fn unavailable_for_a_revoked_token() {
    holds(&[
        issued(0, 0..1),
        revoked(0, 10..20),
        accepted(0, 500..501).ended(Outcome::Unavailable),
        accepted(0, 500..501).strictly().ended(Outcome::Unavailable),
        accepted(0, 500..NEVER).ended(DIED),
    ]);
}

#[test]
fn refused_while_it_is_being_issued() {
    holds(&[issued(0, 10..20), refused(0, 19..30), accepted(0, 11..15)]);
}

#[test]
fn refused_or_accepted_after_an_issue_of_unknown_end() {
    holds(&[
        issued(0, 10..NEVER).ended(DIED),
        refused(0, 30..31),
        accepted(0, 40..41),
        refused(0, 50..51),
    ]);
}

#[test]
fn refused_after_an_issue_that_was_unavailable() {
    holds(&[issued(0, 10..11).ended(Outcome::Unavailable), refused(0, 30..31)]);
}

#[test]
fn accepted_after_a_second_attempt_to_issue_it() {
    let failed = issued(0, 0..1).ended(Outcome::Refused(Reason::Unsaid));
    holds(&[failed, issued(0, 2..3), accepted(0, 4..5)]);
    holds(&[issued(0, 2..3), failed, accepted(0, 4..5)]);
}

#[test]
fn accepted_or_refused_though_all_were_revoked_while_it_was_issued() {
    for issue in [issued(0, 15..16), issued(0, 5..30), issued(0, 19..30), issued(0, 5..11)] {
        holds(&[revoked_all(0, 10..20), issue, accepted(0, 500..501), refused(0, 600..601)]);
    }
}

#[test]
fn accepted_though_all_were_revoked_before_it_was_issued() {
    holds(&[revoked_all(0, 10..20), issued(0, 20..30), accepted(0, 500..501)]);
}

#[test]
fn refused_as_revoked_where_it_is_accepted_elsewhere() {
    holds(&[
        issued(0, 0..1),
        revoked(0, 10..20),
        refused(0, 15..16).ended(Outcome::Refused(Reason::Revoked)),
        accepted(0, 15..17),
        accepted(0, 119..120).on(1),
    ]);
}

#[test]
fn accepted_where_it_had_been_refused_as_deactivated() {
    holds(&[
        issued(0, 0..1),
        deactivated(token(0), 10..20),
        refused(0, 21..22).ended(Outcome::Refused(Reason::Deactivated)),
        reactivated(token(0), 30..40),
        accepted(0, 40..41),
    ]);
}

#[test]
fn minted_while_its_parent_was_being_revoked() {
    holds(&[
        issued(0, 0..1),
        cascaded(0, 10..20),
        minted(1, 0, 19..25),
        accepted(1, 500..501),
        refused(1, 600..601),
    ]);
}

#[test]
fn accepted_after_its_parent_alone_was_revoked() {
    holds(&[issued(0, 0..1), minted(1, 0, 2..3), revoked(0, 10..20), accepted(1, 500..501)]);
}

#[test]
fn accepted_soon_after_its_parent_was_revoked_with_all_that_it_minted() {
    holds(&[
        issued(0, 0..1),
        minted(1, 0, 2..3),
        cascaded(0, 10..20),
        accepted(1, 119..120).on(1),
        refused(1, 21..22).on(1),
    ]);
}

#[test]
fn accepted_though_what_it_minted_was_revoked() {
    holds(&[issued(0, 0..1), minted(1, 0, 2..3), cascaded(1, 10..20), accepted(0, 500..501)]);
}

#[test]
fn a_revoked_token_that_tries_to_mint() {
    let mint = minted(1, 0, 30..31);
    for end in [Outcome::Refused(Reason::Revoked), Outcome::Unavailable, DIED] {
        holds(&[issued(0, 0..1), revoked(0, 10..20), mint.ended(end)]);
    }
}

#[test]
fn a_mint_refused_for_a_live_token() {
    let refusal = Outcome::Refused(Reason::Unsaid);
    holds(&[issued(0, 0..1), minted(1, 0, 2..3).ended(refusal), refused(1, 4..5)]);
}

#[test]
fn accepted_until_it_expires() {
    holds(&[
        issued(0, 0..1).until(50),
        accepted(0, 49..60),
        refused(0, 49..50),
        refused(0, 60..61).ended(Outcome::Refused(Reason::Expired)),
    ]);
}

#[test]
fn accepted_and_refused_about_when_it_expires() {
    let terms = Terms { expiry_allowance: 5, ..TERMS };
    holds_by(terms, &[issued(0, 0..1).until(50), accepted(0, 54..60), refused(0, 44..45)]);
}

#[test]
fn connections_that_are_closed_in_time() {
    let summary = holds(&[
        issued(0, 0..1),
        connected(0, 2..120).on(1),
        connected(0, 3..30).ended(Outcome::Refused(Reason::Revoked)),
        revoked(0, 10..20),
        refused(0, 500..501),
    ]);
    assert_eq!(summary.connections, 2);
}

#[test]
fn connections_that_nobody_can_have_closed() {
    holds(&[
        issued(0, 0..1),
        connected(0, 2..NEVER).ended(DIED),
        connected(0, 3..6).ended(Outcome::Unavailable),
        revoked(0, 10..20),
        refused(0, 500..501),
    ]);
}

#[test]
fn still_open_when_the_history_ends_within_the_bound() {
    holds(&[issued(0, 0..1), connected(0, 2..NEVER), revoked(0, 10..20), refused(0, 119..120)]);
}

#[test]
fn left_open_while_its_owner_was_away_for_less_than_the_bound() {
    holds(&[
        issued(0, 0..1),
        connected(0, 2..900),
        deactivated(OWNER, 10..20),
        reactivated(OWNER, 119..130),
        deactivated(OWNER, 210..220),
        reactivated(OWNER, 319..330),
    ]);
}

#[test]
fn opened_after_its_owner_had_been_away() {
    holds(&[
        issued(0, 0..1),
        deactivated(OWNER, 10..20),
        reactivated(OWNER, 300..310),
        connected(0, 305..900),
    ]);
}

#[test]
fn nothing_happened() {
    assert_eq!(holds(&[]), Summary::default());
}

#[test]
fn a_summary_counts_what_was_done() {
    let summary = holds(&[
        issued(0, 0..1),
        minted(1, 0, 2..3),
        accepted(0, 4..5),
        accepted(0, 4..5).strictly(),
        connected(0, 5..7),
        deactivated(token(0), 10..20),
        refused(0, 21..22).strictly(),
        refused(0, 19..22),
        refused(0, 20..22),
        refused(0, 120..122).on(1),
        reactivated(token(0), 130..140),
        revoked_all(0, 150..NEVER).ended(DIED),
        revoked(0, 160..170),
        cascaded(0, 170..180),
        accepted(0, 190..191).strictly().ended(Outcome::Unavailable),
    ]);
    let (bounded, strict) = (summary.bounded, summary.strict);
    assert_eq!((bounded.accepted, bounded.refused, bounded.barred), (1, 3, 2));
    assert_eq!((strict.accepted, strict.refused, strict.barred), (1, 1, 1));
    assert_eq!((bounded.unavailable, strict.unavailable), (0, 1));
    assert_eq!((summary.issued, summary.minted, summary.connections), (2, 1, 1));
    assert_eq!((summary.narrowed, summary.reactivated, summary.unknown), (3, 1, 1));
    assert!(summary.lags.is_empty());
}

#[test]
fn a_lag_is_the_last_of_a_node_after_what_narrowed_first() {
    let summary = holds(&[
        issued(0, 0..1),
        issued(1, 0..1),
        revoked_all(0, 10..20),
        revoked(0, 30..40),
        accepted(0, 50..51).on(1),
        accepted(1, 70..71).on(1),
        accepted(0, 60..61).on(1),
        accepted(0, 25..26).on(2),
        accepted(1, 19..500).on(3),
        accepted(1, 20..21).on(4),
        accepted(0, 119..121).on(5),
        accepted(0, 21..22).on(6),
        accepted(0, 93..94).on(7),
    ]);
    assert_eq!(summary.lags, [1, 5, 50, 73, 99]);
}

#[test]
fn an_operation_is_small() {
    assert!(size_of::<Operation>() <= 64);
}
