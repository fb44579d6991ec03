//! One thing is wrong in each.

use crate::history::{Broken, NEVER, Operation, Outcome, Reason, Terms, check};
use crate::words::*;

#[test]
fn accepted_when_the_bound_is_over() {
    breaks(Broken::Bounded, 2, &[issued(0, 0..1), revoked(0, 10..20), accepted(0, 120..121).on(1)]);
}

#[test]
fn accepted_long_after_a_revocation_whose_owner_came_back() {
    breaks(
        Broken::Bounded,
        4,
        &[
            issued(0, 0..1),
            deactivated(OWNER, 10..20),
            revoked(0, 21..22),
            reactivated(OWNER, 30..40),
            accepted(0, 200..201).on(1),
        ],
    );
}

#[test]
fn accepted_after_a_deactivation_that_came_after_the_reactivation() {
    breaks(
        Broken::Bounded,
        4,
        &[
            issued(0, 0..1),
            deactivated(token(0), 10..20),
            reactivated(token(0), 30..40),
            deactivated(token(0), 50..60),
            accepted(0, 160..161).on(1),
        ],
    );
}

#[test]
fn accepted_during_the_first_of_two_deactivations() {
    breaks(
        Broken::Bounded,
        4,
        &[
            issued(0, 0..1),
            deactivated(token(0), 10..20),
            reactivated(token(0), 200..210),
            deactivated(token(0), 300..310),
            accepted(0, 150..160).on(1),
        ],
    );
}

#[test]
fn accepted_before_the_reactivation_was_invoked() {
    breaks(
        Broken::Bounded,
        3,
        &[
            issued(0, 0..1),
            deactivated(token(0), 10..20),
            reactivated(token(0), 150..160),
            accepted(0, 140..150).on(1),
        ],
    );
}

#[test]
fn accepted_after_a_reactivation_that_was_refused() {
    breaks(
        Broken::Bounded,
        3,
        &[
            issued(0, 0..1),
            deactivated(token(0), 10..20),
            reactivated(token(0), 30..40).ended(Outcome::Refused(Reason::Unsaid)),
            accepted(0, 200..210).on(1),
        ],
    );
}

#[test]
fn accepted_after_its_owner_was_deactivated() {
    breaks(
        Broken::Bounded,
        2,
        &[issued(0, 0..1), deactivated(OWNER, 10..20), accepted(0, 120..130).on(1)],
    );
}

#[test]
fn accepted_for_an_owner_who_was_deactivated_before_it_was_issued() {
    breaks(
        Broken::Bounded,
        2,
        &[deactivated(OWNER, 10..20), issued(0, 30..40), accepted(0, 120..130).on(1)],
    );
}

#[test]
fn accepted_though_only_the_owner_came_back() {
    breaks(
        Broken::Bounded,
        4,
        &[
            issued(0, 0..1),
            deactivated(token(0), 10..20),
            deactivated(OWNER, 10..20),
            reactivated(OWNER, 30..40),
            accepted(0, 120..130).on(1),
        ],
    );
}

#[test]
fn accepted_after_all_tokens_of_the_owner_were_revoked() {
    breaks(
        Broken::Bounded,
        4,
        &[
            issued(0, 0..1),
            issued(1, 0..1).of(1),
            revoked_all(0, 1..20),
            accepted(1, 120..130).on(1),
            accepted(0, 120..130).on(1),
        ],
    );
}

#[test]
fn accepted_when_the_first_of_two_revocations_bars_it() {
    breaks(
        Broken::Bounded,
        3,
        &[issued(0, 0..1), revoked(0, 90..100), revoked(0, 10..20), accepted(0, 120..130).on(1)],
    );
}

#[test]
fn accepted_after_a_revocation_that_its_issue_overlapped() {
    for revocation in [revoked(0, 0..5), revoked(0, 0..0)] {
        breaks(Broken::Bounded, 2, &[issued(0, 0..9), revocation, accepted(0, 120..121).on(1)]);
    }
}

#[test]
fn accepted_after_the_revoking_node_died_and_came_back() {
    breaks(
        Broken::Local,
        4,
        &[
            issued(0, 0..1),
            revoked(0, 10..20),
            revoked(0, 25..NEVER).ended(Outcome::Indeterminate),
            refused(0, 30..31),
            accepted(0, 40..41),
        ],
    );
}

#[test]
fn accepted_where_it_was_revoked() {
    breaks(
        Broken::Local,
        3,
        &[issued(0, 0..1), revoked(0, 10..20), accepted(0, 20..21).on(1), accepted(0, 20..21)],
    );
}

#[test]
fn accepted_where_its_owner_was_deactivated() {
    breaks(
        Broken::Local,
        2,
        &[issued(0, 0..1), deactivated(OWNER, 10..20).on(2), accepted(0, 20..21).on(2)],
    );
}

#[test]
fn accepted_where_the_later_of_two_narrowings_was_done() {
    breaks(
        Broken::Local,
        3,
        &[
            issued(0, 0..1),
            deactivated(token(0), 10..20).on(1),
            deactivated(token(0), 30..40).on(2),
            accepted(0, 50..51).on(2),
        ],
    );
}

#[test]
fn accepted_strictly_on_another_node() {
    breaks(
        Broken::Strict,
        2,
        &[issued(0, 0..1), revoked(0, 10..20), accepted(0, 20..21).strictly().on(1)],
    );
}

#[test]
fn accepted_strictly_at_the_last_instant_before_the_reactivation() {
    breaks(
        Broken::Strict,
        3,
        &[
            issued(0, 0..1),
            deactivated(token(0), 10..20),
            reactivated(token(0), 20..30),
            accepted(0, 20..20).strictly(),
        ],
    );
}

#[test]
fn accepted_strictly_long_after() {
    breaks(
        Broken::Strict,
        2,
        &[issued(0, 0..1), revoked(0, 10..20), accepted(0, 520..521).strictly().on(1)],
    );
}

#[test]
fn accepted_after_a_fenced_revocation() {
    breaks(
        Broken::Fenced,
        2,
        &[issued(0, 0..1), revoked(0, 10..20).fenced(), accepted(0, 20..21).on(1)],
    );
}

#[test]
fn accepted_after_a_fenced_deactivation_that_another_had_preceded() {
    breaks(
        Broken::Fenced,
        3,
        &[
            issued(0, 0..1),
            deactivated(token(0), 10..20).on(2),
            deactivated(token(0), 30..40).on(2).fenced(),
            accepted(0, 50..51).on(1),
        ],
    );
}

#[test]
fn accepted_after_all_were_revoked_behind_a_fence() {
    breaks(
        Broken::Fenced,
        3,
        &[
            issued(0, 0..1),
            revoked_all(0, 3..5),
            revoked_all(0, 10..20).fenced(),
            accepted(0, 20..21).on(1),
        ],
    );
}

#[test]
fn refused_though_nothing_was_done_to_it() {
    breaks(Broken::FalselyRefused, 1, &[issued(0, 0..1), refused(0, 1..2)]);
}

#[test]
fn refused_strictly_though_nothing_was_done_to_it() {
    breaks(Broken::FalselyRefused, 1, &[issued(0, 0..1), refused(0, 1..2).strictly()]);
}

#[test]
fn refused_after_it_was_reactivated() {
    breaks(
        Broken::FalselyRefused,
        3,
        &[
            issued(0, 0..1),
            deactivated(token(0), 10..20),
            reactivated(token(0), 20..30),
            refused(0, 30..31).on(1),
        ],
    );
}

#[test]
fn refused_before_a_reactivation_that_had_nothing_to_lift() {
    breaks(
        Broken::FalselyRefused,
        2,
        &[issued(0, 0..1), reactivated(token(0), 10..20), refused(0, 5..6)],
    );
}

#[test]
fn refused_after_its_owner_was_reactivated() {
    breaks(
        Broken::FalselyRefused,
        3,
        &[
            issued(0, 0..1),
            deactivated(OWNER, 10..20),
            reactivated(OWNER, 20..30),
            refused(0, 30..31),
        ],
    );
}

#[test]
fn refused_before_it_was_revoked() {
    breaks(Broken::FalselyRefused, 2, &[issued(0, 0..1), revoked(0, 10..20), refused(0, 5..10)]);
}

#[test]
fn refused_after_a_revocation_that_was_refused() {
    breaks(
        Broken::FalselyRefused,
        2,
        &[
            issued(0, 0..1),
            revoked(0, 10..20).ended(Outcome::Refused(Reason::Unsaid)),
            refused(0, 30..40),
        ],
    );
}

#[test]
fn refused_though_all_were_revoked_before_it_was_asked_for() {
    breaks(
        Broken::FalselyRefused,
        2,
        &[revoked_all(0, 10..20), issued(0, 20..30), refused(0, 30..40)],
    );
}

#[test]
fn refused_though_only_its_parent_was_revoked() {
    breaks(
        Broken::FalselyRefused,
        3,
        &[issued(0, 0..1), minted(1, 0, 2..3), revoked(0, 10..20), refused(1, 30..40)],
    );
}

#[test]
fn refused_though_another_of_its_owner_was_revoked() {
    breaks(
        Broken::FalselyRefused,
        3,
        &[issued(0, 0..1), issued(1, 0..1), cascaded(0, 10..20), refused(1, 30..40)],
    );
}

#[test]
fn refused_before_it_expired() {
    breaks(Broken::FalselyRefused, 1, &[issued(0, 0..1).until(50), refused(0, 40..49)]);
}

#[test]
fn accepted_where_it_had_been_refused_as_revoked() {
    breaks(
        Broken::Resurrected,
        3,
        &[
            issued(0, 0..1),
            revoked(0, 10..20),
            refused(0, 21..22).ended(Outcome::Refused(Reason::Revoked)).on(1),
            accepted(0, 22..23).on(1),
        ],
    );
}

#[test]
fn accepted_where_a_connection_had_been_ended_as_revoked() {
    breaks(
        Broken::Resurrected,
        3,
        &[
            issued(0, 0..1),
            revoked(0, 10..NEVER).ended(Outcome::Indeterminate),
            connected(0, 5..22).ended(Outcome::Refused(Reason::Revoked)).on(1),
            accepted(0, 500..501).on(1),
        ],
    );
}

#[test]
fn accepted_between_two_refusals_of_it_as_revoked() {
    let refused = |time| refused(0, time).ended(Outcome::Refused(Reason::Revoked)).on(1);
    breaks(
        Broken::Resurrected,
        3,
        &[
            issued(0, 0..1),
            revoked(0, 10..20),
            refused(21..22),
            accepted(0, 30..31).on(1),
            refused(40..41),
        ],
    );
}

#[test]
fn minted_where_it_had_been_refused_as_revoked() {
    breaks(
        Broken::Resurrected,
        3,
        &[
            issued(0, 0..1),
            revoked(0, 10..11).ended(Outcome::Unavailable),
            minted(1, 0, 12..13).ended(Outcome::Refused(Reason::Revoked)),
            minted(1, 0, 14..15),
        ],
    );
}

#[test]
fn minted_by_a_revoked_token() {
    breaks(Broken::Minted, 2, &[issued(0, 0..1), revoked(0, 10..20), minted(1, 0, 20..21).on(1)]);
}

#[test]
fn minted_by_a_token_of_a_deactivated_owner() {
    breaks(
        Broken::Minted,
        2,
        &[issued(0, 0..1), deactivated(OWNER, 10..20), minted(1, 0, 20..21).on(1).of(1)],
    );
}

#[test]
fn minted_by_an_expired_token() {
    breaks(Broken::Expired, 1, &[issued(0, 0..1).until(20), minted(1, 0, 20..21)]);
}

#[test]
fn accepted_after_its_parent_was_revoked_with_all_that_it_minted() {
    breaks(
        Broken::Bounded,
        3,
        &[issued(0, 0..1), minted(1, 0, 2..3), cascaded(0, 3..20), accepted(1, 120..121).on(1)],
    );
}

#[test]
fn accepted_after_its_parents_parent_was_revoked_with_all_that_descends() {
    breaks(
        Broken::Bounded,
        4,
        &[
            issued(0, 0..1),
            minted(1, 0, 2..3),
            minted(2, 1, 4..5),
            cascaded(0, 10..20),
            accepted(2, 120..121).on(1),
        ],
    );
}

#[test]
fn accepted_when_it_had_expired() {
    breaks(Broken::Expired, 1, &[issued(0, 0..1).until(50), accepted(0, 50..51)]);
}

#[test]
fn accepted_when_it_had_expired_by_any_clock() {
    let terms = Terms { expiry_allowance: 5, ..TERMS };
    breaks_by(terms, Broken::Expired, 1, &[issued(0, 0..1).until(50), accepted(0, 55..56)]);
}

#[test]
fn refused_when_it_had_not_expired_by_any_clock() {
    let terms = Terms { expiry_allowance: 5, ..TERMS };
    breaks_by(terms, Broken::FalselyRefused, 1, &[issued(0, 0..1).until(50), refused(0, 43..44)]);
}

#[test]
fn left_open_after_a_revocation() {
    breaks(Broken::LeftOpen, 1, &[issued(0, 0..1), connected(0, 2..121).on(1), revoked(0, 10..20)]);
}

#[test]
fn still_open_when_the_history_ends() {
    breaks(
        Broken::LeftOpen,
        1,
        &[issued(0, 0..1), connected(0, 2..NEVER), revoked(0, 10..20), issued(1, 120..121)],
    );
}

#[test]
fn left_open_while_its_owner_was_away_longer_than_the_bound() {
    breaks(
        Broken::LeftOpen,
        1,
        &[
            issued(0, 0..1),
            connected(0, 2..300),
            deactivated(OWNER, 10..20),
            reactivated(OWNER, 130..140),
        ],
    );
}

#[test]
fn opened_at_the_last_instant_before_the_reactivation() {
    breaks(
        Broken::LeftOpen,
        3,
        &[
            issued(0, 0..1),
            deactivated(OWNER, 10..20),
            reactivated(OWNER, 130..140),
            connected(0, 130..200),
        ],
    );
}

#[test]
fn left_open_and_then_ended_for_it() {
    breaks(
        Broken::LeftOpen,
        1,
        &[
            issued(0, 0..1),
            connected(0, 2..130).ended(Outcome::Refused(Reason::Revoked)),
            revoked(0, 10..20),
        ],
    );
}

#[test]
fn a_connection_of_a_live_token_ended() {
    breaks(
        Broken::CutOff,
        1,
        &[
            issued(0, 0..1),
            connected(0, 2..9).ended(Outcome::Refused(Reason::Revoked)),
            revoked(0, 10..20),
        ],
    );
}

#[test]
fn accepted_before_it_was_asked_for() {
    breaks(Broken::Unissued, 1, &[issued(0, 10..20), accepted(0, 5..10)]);
}

#[test]
fn accepted_though_it_was_never_issued() {
    breaks(
        Broken::Unissued,
        1,
        &[issued(0, 10..20).ended(Outcome::Refused(Reason::Unsaid)), accepted(0, 25..30)],
    );
}

#[test]
fn a_return_before_the_invocation() {
    let backwards = Operation { returned_at: 4, ..accepted(0, 5..6) };
    is_nonsense(Broken::Malformed, 1, &[issued(0, 0..1), backwards]);
}

#[test]
fn an_answer_that_did_not_return() {
    is_nonsense(Broken::Malformed, 1, &[issued(0, 0..1), accepted(0, 5..NEVER)]);
    is_nonsense(Broken::Malformed, 1, &[issued(0, 0..1), revoked(0, 5..NEVER)]);
    let ended = connected(0, 5..NEVER).ended(Outcome::Unavailable);
    is_nonsense(Broken::Malformed, 1, &[issued(0, 0..1), ended]);
}

#[test]
fn an_outcome_that_cannot_come_of_it() {
    is_nonsense(Broken::Malformed, 1, &[issued(0, 0..1), accepted(0, 5..6).ended(Outcome::Done)]);
    is_nonsense(Broken::Malformed, 1, &[issued(0, 0..1), connected(0, 5..6).ended(Outcome::Done)]);
    is_nonsense(Broken::Malformed, 0, &[issued(0, 0..1).ended(Outcome::Accepted)]);
}

#[test]
fn a_token_issued_twice() {
    is_nonsense(Broken::IssuedTwice, 1, &[issued(0, 0..1), issued(0, 2..3)]);
    let unknown = issued(0, 0..NEVER).ended(Outcome::Indeterminate);
    is_nonsense(Broken::IssuedTwice, 1, &[unknown, issued(0, 2..3)]);
}

#[test]
fn a_token_that_nobody_issued() {
    for stray in [
        accepted(1, 2..3),
        connected(1, 2..3),
        revoked(1, 2..3),
        deactivated(token(1), 2..3),
        reactivated(token(1), 2..3),
        minted(2, 1, 2..3),
    ] {
        is_nonsense(Broken::UnknownToken, 1, &[issued(0, 0..1), stray]);
    }
}

#[test]
fn nonsense_is_told_in_order() {
    let history = [accepted(0, 2..3), issued(1, 0..1), issued(1, 0..1), revoked(2, 2..3)];
    let violations = check(&history, &TERMS).unwrap_err();
    let found: Vec<_> = violations.iter().map(|found| (found.operation, found.broken)).collect();
    let expected = [(0, Broken::UnknownToken), (2, Broken::IssuedTwice), (3, Broken::UnknownToken)];
    assert_eq!(found, expected);
}

#[test]
fn a_violation_tells_of_both_operations() {
    let history = [issued(0, 0..1), revoked(0, 10..20), accepted(0, 20..21)];
    let violations = check(&history, &TERMS).unwrap_err();
    assert_eq!(violations[0].against, Some(1));
    let told = violations[0].tell(&history);
    assert!(told.starts_with("Local: #2 ") && told.contains(" against #1 "), "{told}");
}
