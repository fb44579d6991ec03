//! Tokens of other products that go on working here.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails where it panics, in its helpers too"
)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta};
use keyfob::core::error::ImportError;
use keyfob::import::{Outcome, Report, Skipped, awx, import, mattermost, rocketchat};
use keyfob::ports::store::{EventQuery, Filter, Query};
use keyfob::store::memory::MemoryStore;
use keyfob::store::sqlite::SqliteStore;
use keyfob::testing::{ManualClock, SeededRandomness, block_on};
use keyfob::{
    Access, Actor, Builder, By, EventKind, Expiry, Format, Grant, Key, KeyId, Keyring, KindPolicy,
    OwnerId, Policy, ReadWrite, RealmId, Rules, Shape, State, TokenId, TokenRecord, TokenStore,
    Tokens,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

static ITSELF: Actor = Actor::host();
const HOST: By<'static> = By::Host(&ITSELF);
const START_MS: i64 = 1_800_000_000_000;

fn service(change: impl FnOnce(&mut KindPolicy)) -> (Tokens<ReadWrite>, ManualClock) {
    service_on(MemoryStore::default(), change)
}

fn service_on(
    store: impl TokenStore,
    change: impl FnOnce(&mut KindPolicy),
) -> (Tokens<ReadWrite>, ManualClock) {
    let key = Key::new(KeyId::new("k1").unwrap(), &[7; 32]).unwrap();
    let shapes = [Shape::AWX, Shape::MATTERMOST, Shape::ROCKET_CHAT];
    let format = shapes.into_iter().fold(Format::new("chat").unwrap(), Format::reading);
    let mut personal = KindPolicy::personal();
    personal.longest_lifetime = None;
    personal.never_expires = true;
    change(&mut personal);
    let policy = Policy::default().with_kind(keyfob::Kind::personal(), personal);
    let rules = Rules::new(format, Keyring::new(key)).with_policy(policy);
    let clock = ManualClock::new(DateTime::from_timestamp_millis(START_MS).unwrap());
    (Builder::new(store, rules, clock.clone(), SeededRandomness::new(1)).build(), clock)
}

/// Everybody but nobody has an account.
fn known(owner: &OwnerId) -> Option<OwnerId> {
    (owner.as_str() != "nobody").then(|| owner.clone())
}

fn take(tokens: &Tokens<ReadWrite>, rows: Vec<keyfob::import::Row>) -> Report {
    block_on(import(tokens, rows, known, &Grant::Full))
}

fn verdict(tokens: &Tokens<ReadWrite>, text: &str) -> Result<TokenId, &'static str> {
    let judged = block_on(tokens.authenticate(text, &Access::any()));
    judged.map(|verified| verified.id()).map_err(|error| error.code())
}

fn all(tokens: &Tokens<ReadWrite>) -> Vec<TokenRecord> {
    block_on(tokens.query(&Query::new(Filter::default(), 1000))).unwrap().records
}

/// An id or a text as Mattermost draws them.
fn word(number: u8) -> String {
    TokenId::from_bytes([number; 16]).to_string()
}

fn mattermost_row(number: u8) -> Value {
    json!({
        "id": word(number), "token": word(number + 100), "userid": "alice",
        "description": format!("token {number}"), "isactive": true, "expiresat": 0,
    })
}

fn with(mut row: Value, key: &str, value: impl Into<Value>) -> Value {
    row[key] = value.into();
    row
}

/// Somebody's tokens as `mongoexport` writes them.
fn user(id: &str, tokens: Value) -> Value {
    json!({"_id": id, "services": {"resume": {"loginTokens": tokens}}})
}

fn hashed(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text))
}

/// The text, and what the product keeps of it.
fn rocketchat_token(number: u8) -> (String, Value) {
    let text = format!(
        "{}{number:02}",
        "RocketChatTokenOf43CharactersWithDigits_-1234".get(..41).unwrap()
    );
    let token = json!({
        "hashedToken": hashed(&text), "type": "personalAccessToken",
        "createdAt": {"$date": "2018-08-01T17:17:48.068Z"},
        "lastTokenPart": text.get(37..).unwrap(), "name": format!("bot {number}"),
        "bypassTwoFactor": false,
    });
    (text, token)
}

#[test]
fn a_mattermost_token_keeps_its_text_id_owner_name_state_and_expiry() {
    let (tokens, clock) = service(|_| {});
    let soon = START_MS + 60_000;
    let rows = [
        mattermost_row(1),
        with(mattermost_row(2), "isactive", false),
        with(mattermost_row(3), "expiresat", soon),
    ];
    let lines = rows.map(|row| row.to_string()).join("\n");
    let report = take(&tokens, mattermost::read(&lines));
    assert_eq!((report.taken(), report.skipped()), (3, 0), "{report}");
    let id = |number| word(number).parse::<TokenId>().unwrap();
    assert_eq!(verdict(&tokens, &word(101)), Ok(id(1)));
    assert_eq!(verdict(&tokens, &word(102)), Err("deactivated"));
    assert_eq!(verdict(&tokens, &word(103)), Ok(id(3)));
    let records = all(&tokens);
    for (record, number) in records.iter().zip(1..) {
        assert_eq!(record.id, id(number));
        assert_eq!(record.owner.as_str(), "alice");
        assert_eq!(record.name.as_str(), format!("token {number}"));
        assert_eq!(&*record.hint, "", "six of its characters are too many to show");
    }
    assert_eq!(records[0].validity.expires_at, Expiry::Never);
    assert_eq!(records[2].validity.expires_at.at().unwrap().timestamp_millis(), soon);
    block_on(tokens.reactivate(id(2), HOST)).unwrap();
    assert_eq!(verdict(&tokens, &word(102)), Ok(id(2)));
    clock.advance(TimeDelta::seconds(60));
    assert_eq!(verdict(&tokens, &word(103)), Err("expired"));
}

#[test]
fn a_rocketchat_token_keeps_its_text_owner_name_time_last_part_and_bypass() {
    let (tokens, _) = service(|_| {});
    let ((first, one), (second, two)) = (rocketchat_token(1), rocketchat_token(2));
    let two = with(two, "bypassTwoFactor", true);
    let two = with(two, "createdAt", json!({"$date": {"$numberLong": "1533143868068"}}));
    let session =
        json!({"hashedToken": hashed("session"), "when": {"$date": "2026-01-01T00:00:00Z"}});
    let export =
        json!([user("alice", json!([one, session])), user("bob", json!([two])), {"_id": "carol"}]);
    let report = take(&tokens, rocketchat::read(&export.to_string()));
    assert_eq!((report.taken(), report.skipped()), (2, 1), "{report}");
    assert_eq!(report.rows[1].outcome, Outcome::Skipped(Skipped::Session));
    let records = all(&tokens);
    assert_eq!(verdict(&tokens, &first), Ok(records[0].id));
    assert_eq!(verdict(&tokens, &second), Ok(records[1].id));
    for (record, (owner, text, name)) in
        records.iter().zip([("alice", &first, "bot 1"), ("bob", &second, "bot 2")])
    {
        assert_eq!((record.owner.as_str(), record.name.as_str()), (owner, name));
        assert_eq!(record.secret_issued_at.timestamp_millis(), 1_533_143_868_068);
        assert_eq!(&*record.hint, text.get(37..).unwrap());
    }
    assert!(!records[0].bypasses_two_factor && records[1].bypasses_two_factor);
}

#[test]
fn importing_again_changes_nothing_and_brings_nothing_back() {
    let (tokens, _) = service(|_| {});
    let (text, token) = rocketchat_token(1);
    let rocketchat_export = user("alice", json!([token])).to_string();
    let mattermost_export = mattermost_row(1).to_string();
    let both = || {
        let mut rows = mattermost::read(&mattermost_export);
        rows.extend(rocketchat::read(&rocketchat_export));
        take(&tokens, rows)
    };
    assert_eq!(both().taken(), 2);
    let ids: Vec<_> = all(&tokens).iter().map(|record| record.id).collect();
    block_on(tokens.revoke(ids[0], HOST, None)).unwrap();
    let (fresh, _) = block_on(tokens.rotate(ids[1], keyfob::Rotation::at_once(), HOST)).unwrap();
    let before = format!("{:?}", all(&tokens));
    let events = || block_on(tokens.events(&EventQuery::after(0, 1000))).unwrap().len();
    let told = events();
    let report = both();
    assert_eq!((report.taken(), report.taken_before(), report.skipped()), (0, 2, 0));
    assert_eq!(format!("{:?}", all(&tokens)), before);
    assert_eq!(events(), told);
    assert_eq!(verdict(&tokens, &word(101)), Err("revoked"));
    assert_eq!(verdict(&tokens, &text), Err("unknown"), "its rotation has replaced it");
    assert_eq!(verdict(&tokens, fresh.expose_secret()), Ok(ids[1]));
}

#[test]
fn what_is_skipped_is_reported_with_its_reason_and_without_its_secret() {
    let (tokens, _) = service(|_| {});
    block_on(tokens.deactivate_owner(&OwnerId::new("gone").unwrap(), HOST, None)).unwrap();
    let malformed = |field| Skipped::Malformed { field };
    let cases = [
        (with(mattermost_row(1), "userid", "nobody"), Skipped::NoAccount),
        (with(mattermost_row(2), "userid", "gone"), Skipped::Refused(ImportError::OwnerNotActive)),
        (with(mattermost_row(3), "expiresat", START_MS), Skipped::Refused(ImportError::Expired)),
        (with(mattermost_row(4), "token", "short"), malformed("token")),
        (with(mattermost_row(5), "id", word(150) + "x"), malformed("id")),
        (with(mattermost_row(6), "description", "x".repeat(256)), malformed("description")),
        (with(mattermost_row(7), "expiresat", i64::MAX), malformed("expiresat")),
        (with(mattermost_row(8), "isactive", "maybe"), malformed("row")),
        (with(mattermost_row(9), "userid", ""), malformed("userid")),
    ];
    let mut rows = cases.clone().map(|(row, _)| row).to_vec();
    rows.push(mattermost_row(10));
    rows.push(with(mattermost_row(10), "userid", "bob"));
    rows.push(with(mattermost_row(11), "token", word(110)));
    let report = take(&tokens, mattermost::read(&Value::from(rows).to_string()));
    for (row, (_, why)) in report.rows.iter().zip(&cases) {
        assert_eq!(row.outcome, Outcome::Skipped(*why));
    }
    let rest: Vec<_> = report.rows[cases.len()..].iter().map(|row| row.outcome).collect();
    assert!(matches!(rest[0], Outcome::Taken(_)));
    assert_eq!(rest[1..], [Outcome::Skipped(Skipped::Taken); 2], "the id or the text is taken");
    let told = format!("{report} {report:?}");
    for number in 101..=111 {
        assert!(!told.contains(&word(number)), "a text is in the report: {told}");
    }
    assert_eq!(report.to_string().lines().count(), cases.len() + 3);
    assert!(report.to_string().ends_with("1 taken over, 0 taken over before, 11 skipped"));
}

#[test]
fn a_broken_rocketchat_user_or_token_is_skipped_and_the_rest_is_taken() {
    let (tokens, _) = service(|_| {});
    let good = |number| rocketchat_token(number).1;
    let export = [
        user("", json!([good(1)])),
        user(
            "alice",
            json!([
                with(good(2), "hashedToken", "?"),
                with(good(3), "hashedToken", STANDARD.encode("too short")),
                with(good(4), "createdAt", "yesterday"),
                with(good(5), "lastTokenPart", "1234567"),
                with(with(good(6), "bypassTwoFactor", Value::Null), "createdAt", Value::Null),
                with(good(7), "name", "line\nbreak"),
            ]),
        ),
        json!({"no": "user"}),
    ];
    let lines = export.map(|user| user.to_string()).join("\n") + "\n{";
    let report = take(&tokens, rocketchat::read(&lines));
    let fields: Vec<_> = report
        .rows
        .iter()
        .map(|row| match row.outcome {
            Outcome::Skipped(Skipped::Malformed { field }) => field,
            Outcome::Taken(_) => "taken",
            _ => "else",
        })
        .collect();
    let expected = [
        "_id",
        "hashedToken",
        "hashedToken",
        "createdAt",
        "lastTokenPart",
        "taken",
        "taken",
        "row",
        "JSON",
    ];
    assert_eq!(fields, expected);
    let records = all(&tokens);
    assert_eq!(records[0].secret_issued_at.timestamp_millis(), START_MS);
    assert_eq!(records[1].name.as_str(), "line break");
}

#[test]
fn what_was_imported_into_a_file_is_there_when_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let store = SqliteStore::open(folder.path().join("tokens.db"), RealmId::default());
        service_on(store.unwrap(), |_| {}).0
    };
    let (text, token) = rocketchat_token(1);
    let export = json!([mattermost_row(1), with(mattermost_row(2), "isactive", false)]).to_string();
    let rows = || {
        let mut rows = mattermost::read(&export);
        rows.extend(rocketchat::read(&user("alice", json!([token])).to_string()));
        rows
    };
    assert_eq!(take(&open(), rows()).taken(), 3);
    let tokens = open();
    assert_eq!(take(&tokens, rows()).taken_before(), 3);
    assert_eq!(verdict(&tokens, &word(101)), word(1).parse().map_err(|_| "no id"));
    assert_eq!(verdict(&tokens, &word(102)), Err("deactivated"));
    assert!(verdict(&tokens, &text).is_ok());
    let records = all(&tokens);
    assert_eq!(records[2].secret_issued_at.timestamp_millis(), 1_533_143_868_068);
    assert_eq!(records.len(), 3);
}

#[test]
fn an_imported_token_is_in_the_audit_log_as_such() {
    let (tokens, _) = service(|_| {});
    take(&tokens, mattermost::read(&mattermost_row(1).to_string()));
    let events = block_on(tokens.events(&EventQuery::after(0, 10))).unwrap();
    let last = &events.last().unwrap().event;
    assert_eq!(last.kind, EventKind::TokenImported);
    assert_eq!(last.token, word(1).parse().ok());
}

#[test]
fn idleness_of_an_imported_token_counts_from_its_import() {
    let (tokens, clock) = service(|personal| personal.idle_limit = Some(TimeDelta::days(30)));
    let (text, token) = rocketchat_token(1);
    take(&tokens, rocketchat::read(&user("alice", json!([token])).to_string()));
    assert!(verdict(&tokens, &text).is_ok(), "it was made in 2018");
    clock.advance(TimeDelta::days(31));
    assert_eq!(verdict(&tokens, &text), Err("idle"));
}

#[test]
fn what_the_hosts_policy_has_ended_already_is_skipped_and_says_so() {
    let (tokens, _) = service(|personal| personal.never_expires = false);
    let (_, token) = rocketchat_token(1);
    let report = take(&tokens, rocketchat::read(&user("alice", json!([token])).to_string()));
    assert_eq!(report.rows[0].outcome, Outcome::Skipped(Skipped::Refused(ImportError::Policy)));
}

#[test]
fn a_deactivated_token_tells_that_it_was_imported_so() {
    let (tokens, _) = service(|_| {});
    take(&tokens, mattermost::read(&with(mattermost_row(1), "isactive", false).to_string()));
    let State::Deactivated(end) = &all(&tokens)[0].state else {
        unreachable!("it was inactive");
    };
    assert_eq!(end.why.as_ref().unwrap().as_str(), "imported as inactive");
}

/// A text as AWX draws them, and its row.
fn awx_token(number: u64) -> (String, Value) {
    let text = format!("73HNeV53E6p2oYMMAogRn9TIKt9{number:03}");
    let row = json!({
        "id": number, "token": text, "user_id": 5, "application_id": null,
        "description": format!("token {number}"), "scope": "write", "last_used": null,
        "created": "2018-05-29T12:42:48.086056+00:00", "modified": "2018-05-29T12:42:48+00:00",
        "expires": "3017-09-29T12:42:48.084732+00:00", "source_refresh_token_id": null,
    });
    (text, row)
}

fn read_awx(rows: &[Value]) -> Vec<keyfob::import::Row> {
    awx::read(&Value::from(rows.to_vec()).to_string(), |scope: ReadWrite| Grant::only([scope]))
}

/// Accounts by their numbers.
fn numbered(owner: &OwnerId) -> Option<OwnerId> {
    (owner.as_str() == "5").then(|| OwnerId::new("alice").unwrap())
}

fn take_awx(tokens: &Tokens<ReadWrite>, rows: &[Value], most: &Grant<ReadWrite>) -> Report {
    block_on(import(tokens, read_awx(rows), numbered, most))
}

#[test]
fn an_awx_token_keeps_its_text_owner_description_scope_and_times() {
    let (tokens, _) = service(|_| {});
    let ((first, one), (second, two), (third, three)) = (awx_token(1), awx_token(2), awx_token(3));
    let digits: String = Sha256::digest(&second).iter().map(|byte| format!("{byte:02x}")).collect();
    let two = with(with(two, "token", format!("$sha256${digits}")), "scope", "read");
    let long = format!("{}\nand more", "a".repeat(300));
    let three = with(with(three, "description", long.clone()), "scope", "write read");
    // The early migration wrote the digits alone.
    let four = with(awx_token(4).1, "token", digits.replace(|c: char| c != '0', "1"));
    let report = take_awx(&tokens, &[one, two, three, four], &Grant::Full);
    assert_eq!((report.taken(), report.skipped()), (4, 0), "{report}");
    let records = all(&tokens);
    assert_eq!(verdict(&tokens, &first), Ok(records[0].id));
    assert_eq!(verdict(&tokens, &second), Ok(records[1].id));
    assert_eq!(verdict(&tokens, &third), Ok(records[2].id));
    let scopes = |scope| Grant::only([scope]).unwrap().names();
    assert_eq!(records[0].grant, scopes(ReadWrite::Write));
    assert_eq!(records[1].grant, scopes(ReadWrite::Read));
    assert_eq!(records[2].grant, scopes(ReadWrite::Write));
    assert_eq!((records[0].owner.as_str(), records[0].name.as_str()), ("alice", "token 1"));
    assert_eq!(records[2].note.as_str(), long);
    assert_eq!(records[2].name.as_str(), "a".repeat(255));
    assert_eq!(records[0].created_at.timestamp_micros(), 1_527_597_768_086_056);
    let end = records[0].validity.expires_at.at().unwrap();
    assert_eq!(end.to_rfc3339(), "3017-09-29T12:42:48.084732+00:00");
    let access = Access::needing(&ReadWrite::Write);
    let refused = block_on(tokens.authenticate(&second, &access)).unwrap_err();
    assert_eq!(refused.code(), "scope_missing");
}

#[test]
fn a_grant_that_is_imported_is_no_more_than_the_host_gives() {
    let (tokens, _) = service(|_| {});
    let reading = Grant::only([ReadWrite::Read]).unwrap();
    let (_, one) = awx_token(1);
    let two = with(awx_token(2).1, "scope", "read");
    assert_eq!(take_awx(&tokens, &[one, two], &reading).taken(), 2);
    assert!(all(&tokens).iter().all(|record| record.grant == reading.names()));
    let rows = awx::read::<ReadWrite>(&awx_token(3).1.to_string(), |_| None);
    let report = block_on(import(&tokens, rows, numbered, &Grant::Full));
    assert_eq!(report.rows[0].outcome, Outcome::Skipped(Skipped::NoGrant));
}

#[test]
fn what_of_awx_is_skipped_is_reported_with_its_reason_and_without_its_secret() {
    let (tokens, _) = service(|_| {});
    let malformed = |field| Skipped::Malformed { field };
    let of = |number| awx_token(number).1;
    let mut nameless = of(9);
    nameless.as_object_mut().unwrap().remove("id");
    let cases = [
        (with(of(1), "application_id", 3), Skipped::Application),
        (with(of(2), "user_id", 6), Skipped::NoAccount),
        (with(of(3), "user_id", Value::Null), malformed("user_id")),
        (with(of(4), "token", "short"), malformed("token")),
        (with(of(5), "token", "$sha256$12"), malformed("token")),
        (with(of(6), "scope", "everything"), malformed("scope")),
        (with(of(7), "scope", ""), malformed("scope")),
        (with(of(8), "expires", "2020-01-01T00:00:00Z"), Skipped::Refused(ImportError::Expired)),
        (nameless, malformed("id")),
        (with(of(10), "expires", "never"), malformed("row")),
        (with(of(11), "description", "x".repeat(5000)), malformed("description")),
    ];
    let rows = cases.clone().map(|(row, _)| row);
    let report = take_awx(&tokens, &rows, &Grant::Full);
    for (row, (_, why)) in report.rows.iter().zip(&cases) {
        assert_eq!(row.outcome, Outcome::Skipped(*why), "{}", row.called);
    }
    assert_eq!(report.rows.len(), cases.len());
    let told = format!("{report} {report:?}");
    assert!(!told.contains("73HNeV53"), "a text is in the report: {told}");
    assert!(told.contains("token 1"), "{told}");
}
