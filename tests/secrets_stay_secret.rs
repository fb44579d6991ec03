//! No secret is in anything that a public type shows, in an error, in a log line or in a store.
//!
//! The list of public types is rustdoc's own, and so is what each of them can be shown as: a type
//! or a form that is missing from the table below fails the test by name.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails where it panics, in its helpers too"
)]

#[path = "common/rustdoc.rs"]
mod rustdoc;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::slice;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::FromRequestParts as _;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use keyfob::core::change::Presenter;
use keyfob::core::constraints::Constraints;
use keyfob::core::digest::{DigestScheme, KeyTooShort, StoredDigest};
use keyfob::core::error::{ImportError, PublicRefusal, VerifyError};
use keyfob::core::factor::Grounds;
use keyfob::core::factor_policy::{Due, FactorPolicy};
use keyfob::core::freshness::{Freshness, Reading};
use keyfob::core::import::import as take_over;
use keyfob::core::issue::{Caller, issue};
use keyfob::core::owner::{OwnerStanding, OwnerState};
use keyfob::core::rate::{InvalidRate, Rate};
use keyfob::core::rotation::{rehash, rotate};
use keyfob::core::scope::{ChatAction, ChatPlace, NoScopes};
use keyfob::core::token::{Ended, Previous, Usage, Validity};
use keyfob::core::verify::{Facts, verify};
use keyfob::http::{
    Allowance, Answers, Authenticated, BearerLayer, ClientAddress, Credentials, Declared, Denial,
    Need, Presented, Problem, Routes, unguarded_routes,
};
use keyfob::import;
use keyfob::os::{SystemClock, SystemEntropy, TokioTimer};
use keyfob::ports::directory::{Account, AccountKey, AccountKind, Directory, DirectoryError};
use keyfob::ports::entropy::{EntropyError, Generator};
use keyfob::ports::factors::{AttemptLimit, FactorRecord, Reservation};
use keyfob::ports::mailer::{Mail, MailError, Mailer};
use keyfob::ports::passwords::Passwords;
use keyfob::ports::sealer::SealError;
use keyfob::ports::store::{
    Applied, BoxError, Cursor, Epoch, EventQuery, Filter, Insert, Inserted, Lookup, MassRevocation,
    NodeId, NodeReport, Order, OwnerChange, OwnerSet, Page, Query, Start, StateName, StoreError,
    TokenStore, Touched, Use,
};
use keyfob::ports::two_factor::{Answer, Enrolment, FactorError, Sent};
use keyfob::service::error::{AuthenticateError, ChangeFailure, ImportFailure, IssueFailure};
use keyfob::service::two_factor::error::{FactorChangeError, StepUpError};
use keyfob::service::two_factor::{Ask, TwoFactor, Vault};
use keyfob::store::memory::MemoryStore;
use keyfob::store::postgres::{PostgresOptions, PostgresStore};
use keyfob::store::sqlite::SqliteStore;
use keyfob::testing::laws::{FACTOR_LAWS, FactorHarness, Harness, LAWS};
use keyfob::testing::{
    ManualClock, ManualTimer, RecordingSink, SeededRandomness, block_on, sample,
};
use keyfob::two_factor::{
    AeadSealer, Algorithm, BackupCodes, CodeShape, Digits, EmailCode, Imported, Password, Totp,
    TotpSeed, Window,
};
use keyfob::wire::native::{Native, Needs};
use keyfob::wire::oauth::{ClientCredentials, Clients, OAuth};
use keyfob::wire::rocketchat::{self, Failure, Members, Profile, RocketChat};
use keyfob::wire::{awx, mattermost, zitadel};
use keyfob::{
    Access, Actor, Builder, By, Challenge, ChatScope, Event, EventKind, Expiry, Format, Grant,
    IdempotencyKey, IssueError, IssueRequest, Key, KeyId, Keyring, Kind, KindPolicy, Lifetime,
    Minting, Narrowing, Note, Operation, OwnerId, Policy, ReadWrite, Refusal, Rotation, Rules,
    ScopeName, Scopes, Shape, State, TokenId, TokenName, TokenSecret, Tokens,
};
use serde_json::{Value, json};
use tower::{Layer as _, Service as _};
use tracing_subscriber::filter::LevelFilter;

#[test]
fn no_form_of_any_public_type_shows_a_secret() {
    let scene = Scene::play();
    let table = shown(&scene);
    for shown in &table {
        for text in &shown.texts {
            scene.canaries.assert_absent_from(text, shown.path);
        }
    }

    let due = rustdoc::public_types();
    let listed: BTreeMap<&str, Vec<&str>> =
        table.iter().map(|shown| (shown.path, shown.forms.clone())).collect();
    assert_eq!(listed.len(), table.len(), "a type is listed twice");
    let mut wrong = Vec::new();
    for (path, traits) in &due {
        let has: Vec<&str> = FORMS.into_iter().filter(|form| traits.contains(*form)).collect();
        match listed.get(path.as_str()) {
            None => wrong.push(format!("{path} is missing: {has:?}")),
            Some(listed) if *listed != has => {
                wrong.push(format!("{path} is listed with {listed:?} and has {has:?}"));
            }
            Some(_) => {}
        }
    }
    wrong.extend(
        listed
            .keys()
            .filter(|path| !due.contains_key(**path))
            .map(|path| format!("{path} is gone")),
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_log_line_error_or_store_shows_a_secret() {
    let scene = Scene::play();
    let lines = Log::of_this_process().text();
    for code in ["token.issued", "token.rotated", "token.reused", "token.leaked", "wrong_secret"] {
        assert!(lines.contains(code), "nothing is logged of {code}:\n{lines}");
    }
    assert!(lines.contains(&scene.record.id.to_string()), "no line names the token");
    scene.canaries.assert_absent_from(&lines, "the log");
    for error in &scene.errors {
        scene.canaries.assert_absent_from(error, "an error");
    }
    assert!(scene.errors.len() > 20, "only {} errors", scene.errors.len());
    for dumped in scene.dump() {
        scene.canaries.assert_absent_from(&dumped, "the store");
    }
}

#[test]
fn a_request_that_went_through_the_layer_shows_no_token() {
    let scene = Scene::play();
    let inner = tower::service_fn(async |request: Request<Body>| {
        Ok::<_, Infallible>(Response::new(format!("{request:?} {request:#?}")))
    });
    let mut service = BearerLayer::new(scene.tokens.clone()).layer(inner);
    // Once asked of the store, then from the index.
    for _ in 0..2 {
        let bearer = format!("Bearer {}", scene.secret.expose_secret());
        let request = Request::builder().header(AUTHORIZATION, bearer).body(Body::empty());
        let seen = block_on(service.call(request.unwrap())).unwrap().into_body();
        assert!(seen.contains("authorization"), "{seen}");
        scene.canaries.assert_absent_from(&seen, "the request");
    }
}

#[test]
fn the_search_finds_a_secret_however_it_is_written() {
    let secret = "0123456789abcdefghijABCDEFGHIJ01";
    let mut canaries = Canaries::default();
    canaries.add(secret.as_bytes());
    let bytes = &secret.as_bytes()[3..11];
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    for leak in [
        format!("token {secret}!"),
        secret[20..28].to_owned(),
        format!("{bytes:?}"),
        format!("{bytes:#?}"),
        hex.to_uppercase(),
        hex,
    ] {
        assert!(canaries.found_in(&leak).is_some(), "{leak}");
    }
    assert_eq!(canaries.found_in(&secret[3..10]), None);
}

/// The ways to show something, in the order of the table.
const FORMS: [&str; 3] = ["Debug", "Display", "Serialize"];

/// A public type, by the path that rustdoc gives it, and all that its values show.
struct Shown {
    path: &'static str,
    forms: Vec<&'static str>,
    texts: Vec<String>,
}

/// `path Form Form => [values];` for each type.
macro_rules! table {
    ($($path:literal $($form:ident)+ => $values:expr;)*) => {{
        let mut table = Vec::new();
        $({
            let (values, mut texts) = ($values, Vec::new());
            $(for value in &values {
                show!($form value, texts);
            })+
            table.push(Shown { path: $path, forms: vec![$(stringify!($form)),+], texts });
        })*
        table
    }};
}

macro_rules! show {
    (Debug $value:ident, $texts:ident) => {
        $texts.extend([format!("{:?}", $value), format!("{:#?}", $value)]);
    };
    (Display $value:ident, $texts:ident) => {
        $texts.extend([format!("{}", $value), format!("{:>9}", $value)]);
    };
    (Serialize $value:ident, $texts:ident) => {
        $texts.push(serde_json::to_string($value).unwrap());
    };
}

fn shown(scene: &Scene) -> Vec<Shown> {
    let Scene { tokens, record, rules, .. } = scene;
    let (now, host, id) = (sample::start(), Actor::host(), record.id);
    let (mut rng, owner) = (SeededRandomness::new(5), record.owner.clone());
    let unheard_of = OwnerState::unheard_of();
    let text = scene.secret.expose_secret();
    let presented = rules.format.parse(text.as_bytes()).unwrap();
    let issued = issue(scene.request(), Caller::Host(&host), &unheard_of, rules, now, &mut rng);
    let rotated = || {
        rotate(
            record,
            Rotation::at_once(),
            Actor::host(),
            rules,
            now,
            &mut SeededRandomness::new(6),
        )
    };
    let change = rotated().unwrap().change;
    let rehashed = rehash(record, &presented, &rules.keyring, now).unwrap();
    let verified = block_on(tokens.authenticate(text, &Access::any())).unwrap();
    let live = block_on(tokens.live(&verified)).unwrap();
    let unknown_key = Keyring::unkeyed().matches(&record.digest, &presented).unwrap_err();
    let invalid_name = text.parse::<TokenId>().unwrap_err();
    let ambiguous = Format::new("ab").unwrap().with("abc", Kind::session()).unwrap_err();
    let scope = ChatScope { action: ChatAction::Read, place: ChatPlace::Channel("town".into()) };
    let name = |text: &str| ScopeName::new(text).unwrap();
    let ended = Ended::new(host.clone(), Note::new("leaked").ok(), now);
    let found = block_on(scene.store.find(&Lookup::Id(id))).unwrap().unwrap();
    let page = block_on(scene.store.query(&Query::new(Filter::default(), 100))).unwrap();
    let events = block_on(scene.store.events(&EventQuery::after(0, 1000))).unwrap();
    let invalidations = block_on(scene.store.invalidations(Epoch(0))).unwrap();
    let node_report = NodeReport::new(NodeId([7; 16]), Epoch(1), Duration::ZERO, sample::after(1));
    let mut freshness = Freshness::new(Duration::from_secs(2), Duration::ZERO);
    let reading = Reading { steady_nanos: 0, date_micros: 0 };
    freshness.registered(reading, Duration::from_secs(1));
    let poll = freshness.poll(reading);
    let effects = freshness.answered(poll, reading, &invalidations);
    let revocation = MassRevocation::new(
        Filter::of_owner(owner.clone()),
        ended.clone(),
        events[0].event.clone(),
    );
    let revoked = block_on(scene.store.revoke_all(&revocation)).unwrap();
    let owner_change =
        OwnerChange::new(owner.clone(), OwnerStanding::Deactivated, now, events[0].event.clone());
    let owner_set = block_on(scene.store.set_owner(&owner_change)).unwrap();
    let OwnerSet::Done(owner_changed) = owner_set else { panic!("not set") };
    let accepted = verify(&presented, record, &unheard_of, &Access::<ReadWrite>::any(), rules, now);
    let facts = Facts::of(record, &unheard_of, None, rules);
    let lookup = Lookup::Digest {
        scheme: DigestScheme::Native,
        key: record.digest.key.clone(),
        digest: record.digest.digest,
    };
    let refusal = AuthenticateError::Refused(Refusal::WrongSecret);
    let missing = || StoreError::unavailable(unknown_key.clone());
    let password = String::from_utf8(scene.password.clone()).unwrap();

    let layer = BearerLayer::new(tokens.clone());
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("Bearer {text}").parse().unwrap());
    let Ok(Presented::Bearer(bearer_text)) = Presented::read(&headers, None) else {
        panic!("the header was not read");
    };
    let in_query = Presented::read(&headers, Some(&format!("access_token={text}"))).unwrap_err();
    let problem = Problem::new(StatusCode::CONFLICT, "already_issued", "there is one").naming(id);
    let ask = || {
        let request = Request::builder().header(AUTHORIZATION, format!("Bearer {text}"));
        request.body(Body::empty()).unwrap()
    };
    let mut service = layer.layer(axum::Router::new());
    let served = service.call(ask());
    let (mut parts, _) = ask().into_parts();
    let denied = block_on(Authenticated::<ReadWrite>::from_request_parts(&mut parts, &()));
    let denied = denied.unwrap_err();
    parts.extensions.insert(layer.evidence(verified));
    let authenticated = block_on(Authenticated::<ReadWrite>::from_request_parts(&mut parts, &()));
    let authenticated = authenticated.unwrap();
    let declared = Declared::new(Method::GET, "/", Need::Scope(ReadWrite::Write));
    let routes: Routes<ReadWrite> = Routes::new().get("/", Need::Token, async || "well");
    let open = axum::Router::new().route("/", get(async || "well"));
    let unguarded = block_on(unguarded_routes(slice::from_ref(&declared), &open, text)).unwrap();
    let needs = Needs { reading: ReadWrite::Read, managing: ReadWrite::Write };
    let native = Native::new(tokens.clone(), Arc::new(NoAccounts), needs.clone());

    let (vault, two_factor) = (scene.vault(), scene.two_factor(tokens.clone()));
    let answer = Answer::new(password.clone());
    let ask = Ask::by(&verified, Operation::Host, password.as_bytes());
    let question = block_on(two_factor.demand(&ask)).unwrap_err().question().unwrap().clone();
    let host_accounts = || Arc::new(NoAccounts);
    let email =
        EmailCode::new(vault.clone(), host_accounts(), host_accounts(), SeededRandomness::new(8));
    let (totp, backup) = (
        Totp::new(vault.clone(), SeededRandomness::new(9)),
        BackupCodes::new(vault, SeededRandomness::new(10)),
    );
    let seed = || TotpSeed::from_base32("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").unwrap();
    let by = By::Host(&host);
    let proof = |change: &'static str| {
        let parameters = format!("{change} {owner}");
        let ask = Ask::of(&owner, Operation::ChangeFactors, parameters.as_bytes());
        block_on(two_factor.demand(&ask.answered(&answer))).unwrap()
    };
    let enrolling =
        block_on(totp.begin(&two_factor, &owner, "alice", proof("enable totp"), by)).unwrap();
    let regenerating = proof("regenerate backup_code");
    let codes = || block_on(backup.regenerate(&two_factor, &owner, regenerating, by)).unwrap();
    let codes = codes();
    let shown_seed = enrolling.expose_seed().to_owned();
    for form in [format!("{enrolling:?}"), format!("{codes:?}"), format!("{:?}", seed())] {
        assert!(!form.contains(&shown_seed[..8]) && form.contains("hidden"), "{form}");
    }
    let again = proof("regenerate backup_code");
    let one_code = block_on(backup.regenerate(&two_factor, &owner, again, by)).unwrap();
    let one_code = one_code.keep_tokens();

    let directory = Arc::new(Everybody);
    let mattermost_needs =
        mattermost::Needs { reading: ReadWrite::Read, managing: ReadWrite::Write };
    let settings = mattermost::Settings { enabled: true, maximum_lifetime_days: 0 };
    let mattermost = mattermost::Mattermost::new(
        layer.clone(),
        directory.clone(),
        mattermost_needs.clone(),
        settings,
    );
    let awx_needs = awx::Needs { reading: ReadWrite::Read, managing: ReadWrite::Write };
    let awx_settings = awx::Settings::default();
    let awx = awx::Awx::new(layer.clone(), directory.clone(), awx_needs.clone(), awx_settings);
    let column = awx::Column { name: "id", pointer: "/id", holds: awx::Holds::Number };
    let table = awx::Table { model: "Row", r#type: "row", columns: &[], searched: &[] };
    let request = Request::builder().header("authorization", format!("Bearer {text}"));
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    let awx_caller = block_on(awx.caller(&mut parts, &ReadWrite::Read)).unwrap();
    let user = block_on(mattermost.caller(&mut parts, &ReadWrite::Read)).unwrap();
    let zitadel_needs = zitadel::Needs { reading: ReadWrite::Read, managing: ReadWrite::Write };
    let zitadel_settings = zitadel::Settings { default_limit: 100, max_limit: 1000 };
    let zitadel = zitadel::Zitadel::new(
        layer.clone(),
        directory.clone(),
        zitadel_needs.clone(),
        zitadel_settings,
    );
    let zitadel_caller = block_on(zitadel.caller(&mut parts, &ReadWrite::Read)).unwrap();
    let oauth = OAuth::new(layer.clone(), directory.clone(), directory.clone());
    let basic = STANDARD.encode(format!("client:{text}"));
    let mut of_client = HeaderMap::new();
    of_client.insert("authorization", format!("Basic {basic}").parse().unwrap());
    let client = ClientCredentials::read(&of_client).unwrap();
    assert!(client.expose_secret() == text);
    let basic = STANDARD.encode(format!("{text}:client"));
    of_client.insert("authorization", format!("Basic {basic}").parse().unwrap());
    let mixed_up = ClientCredentials::read(&of_client).unwrap();
    assert!(mixed_up.name() == text);
    let rocketchat = RocketChat::new(
        layer.clone(),
        directory,
        two_factor.clone(),
        ReadWrite::Read,
        ReadWrite::Write,
    );
    let mut headers = HeaderMap::new();
    headers.insert("x-auth-token", text.parse().unwrap());
    headers.insert("x-user-id", owner.as_str().parse().unwrap());
    let caller = block_on(rocketchat.caller(&headers, None, &ReadWrite::Read)).unwrap();
    let sent = serde_json::json!({"resume": text}).to_string();
    let resets_at = sample::start();
    let allowance = Allowance { is_admitted: true, limit: 10, remaining: 9, resets_at };

    let rows = || import::mattermost::read(&export());
    let foreign = rows().remove(0).token.unwrap();
    let report =
        block_on(import::import(tokens, rows(), |owner| Some(owner.clone()), &Grant::Full));
    let outcomes: Vec<_> = report.rows.iter().map(|row| row.outcome).collect();
    let reasons: Vec<_> = rows().into_iter().filter_map(|row| row.token.err()).collect();
    assert_eq!((outcomes.len(), reasons.len()), (3, 2));

    table! {
        "core::change::Change" Debug => [&change, &rehashed];
        "core::change::Patch" Debug => [&change.patch];
        "core::change::Presenter" Debug => [Presenter { token: id, version: 1 }];
        "core::change::SecretPatch" Debug => [change.patch.secret.as_ref().unwrap()];
        "core::constraints::Constraints" Debug Serialize => [&record.constraints];
        "core::digest::Digest" Debug => [record.digest.digest, record.binding];
        "core::digest::DigestScheme" Debug Serialize => [DigestScheme::Native, DigestScheme::Text];
        "core::digest::keyring::Key" Debug => [&scene.key];
        "core::digest::keyring::KeyTooShort" Debug Display =>
            [Key::new(KeyId::new("k").unwrap(), &scene.password).unwrap_err(), KeyTooShort];
        "core::digest::keyring::Keyring" Debug => [&rules.keyring];
        "core::digest::StoredDigest" Debug =>
            [&record.digest, &StoredDigest::new(DigestScheme::Text, None, record.digest.digest)];
        "core::digest::keyring::UnknownKey" Debug Display => [&unknown_key];
        "core::epoch::Epoch" Debug => [Epoch(1)];
        "core::epoch::Invalidations" Debug => [&invalidations];
        "core::epoch::Touched" Debug => [Touched::Token(id)];
        "core::error::ImportError" Debug Display => [ImportError::Expired];
        "core::error::IssueError" Debug Display => [IssueError::NeverForbidden, IssueError::Randomness];
        "core::error::LifecycleError" Debug Display =>
            [keyfob::core::error::LifecycleError::Wider { field: "scopes" }];
        "core::error::refusal::PublicRefusal" Debug => [PublicRefusal::InvalidToken];
        "core::error::refusal::Refusal" Debug Display => [Refusal::WrongSecret, Refusal::Superseded];
        "core::error::RotateError" Debug Display =>
            [keyfob::core::error::RotateError::UnknownKey(unknown_key.clone())];
        "core::error::refusal::VerifyError" Debug Display => [
            VerifyError::Refused(Refusal::WrongSecret),
            VerifyError::UnknownKey(unknown_key.clone()),
        ];
        "core::event::Actor" Debug Serialize => [&Actor::with_token(owner.clone(), id), &record.creator];
        "core::event::Event" Debug Serialize =>
            events.iter().map(|stored| &stored.event).collect::<Vec<&Event>>();
        "core::event::EventKind" Debug Serialize => [EventKind::TokenReused];
        "core::factor::Challenge" Debug => [scene.challenge()];
        "core::factor::Grounds" Debug => [Grounds::Answered("totp".into()), scene.prove().grounds().clone()];
        "core::factor::Operation" Debug Serialize => [Operation::IssueBypassingToken];
        "core::factor::TwoFactorProof" Debug => [scene.prove()];
        "core::factor_policy::Due" Debug => [Due::Answer(vec!["totp"])];
        "core::factor_policy::FactorPolicy" Debug => [FactorPolicy::strict()];
        "core::format::Format" Debug => [&rules.format];
        "core::format::error::FormatError" Debug Display => [ambiguous, Format::new(text).unwrap_err()];
        "core::format::error::ParseError" Debug Display => [
            rules.format.parse(&text.as_bytes()[1..]).unwrap_err(),
            rules.format.parse(&text.as_bytes()[..70]).unwrap_err(),
        ];
        "core::format::PresentedToken" Debug => [presented];
        "core::freshness::Effect" Debug => effects.iter().collect::<Vec<_>>();
        "core::freshness::Freshness" Debug => [&freshness];
        "core::freshness::lease::Lease" Debug => [freshness.lease()];
        "core::freshness::Poll" Debug => [poll];
        "core::freshness::lease::Reading" Debug => [reading];
        "core::freshness::Ticket" Debug => [freshness.ticket()];
        "core::id::IdempotencyKey" Debug Display Serialize => [IdempotencyKey::new("once").unwrap()];
        "core::id::InvalidName" Debug Display => [invalid_name, Kind::new(text.to_uppercase()).unwrap_err()];
        "core::id::KeyId" Debug Display Serialize => [scene.key.id()];
        "core::id::Kind" Debug Display Serialize => [Kind::personal()];
        "core::id::Note" Debug Display Serialize => [&record.note];
        "core::id::OwnerId" Debug Display Serialize => [&owner];
        "core::id::RealmId" Debug Display Serialize => [&record.realm];
        "core::id::ScopeName" Debug Display Serialize => [name("read")];
        "core::id::TokenId" Debug Display Serialize => [id, presented.id().unwrap()];
        "core::id::TokenIdText" Debug => [id.text()];
        "core::id::TokenName" Debug Display Serialize => [&record.name];
        "core::import::ForeignToken" Debug => [&foreign];
        "core::import::Imported" Debug => [take_over(foreign.clone(), &unheard_of, rules, now).unwrap()];
        "core::issue::Caller" Debug =>
            [Caller::Host(&host), Caller::Token { token: record, for_others: true }];
        "core::issue::request::IssueRequest" Debug => [scene.request()];
        "core::issue::Issued" Debug => [issued.unwrap()];
        "core::issue::request::Lifetime" Debug => [Lifetime::Default];
        "core::lifecycle::Narrowing" Debug => [Narrowing::<ReadWrite>::default()];
        "core::owner::OwnerStanding" Debug Serialize => [OwnerStanding::Active];
        "core::owner::OwnerState" Debug Serialize => [found.owner];
        "core::policy::KindPolicy" Debug => [KindPolicy::personal()];
        "core::policy::Minting" Debug => [Minting::Within];
        "core::policy::Policy" Debug => [&rules.policy];
        "core::policy::Rules" Debug => [rules];
        "core::rate::InvalidRate" Debug Display => [InvalidRate];
        "core::rate::Rate" Debug Serialize => [Rate::new(60, 3_600).unwrap()];
        "core::rotation::Rotated" Debug => [rotated().unwrap()];
        "core::rotation::Rotation" Debug => [Rotation::at_once()];
        "core::scope::ChatAction" Debug => [ChatAction::Manage];
        "core::scope::ChatPlace" Debug => [&scope.place];
        "core::scope::ChatScope" Debug => [&scope];
        "core::scope::Grant" Debug Serialize => [&record.grant, &Grant::Full];
        "core::scope::NoScopes" Debug Display => [NoScopes];
        "core::scope::ReadWrite" Debug => [ReadWrite::Read];
        "core::scope::Scopes" Debug Serialize => [Scopes::new([name("read")]).unwrap()];
        "core::secret::TokenSecret" Debug => [&scene.secret, &scene.replaced];
        "core::shape::Shape" Debug => [Shape::MATTERMOST];
        "core::token::Ended" Debug Serialize => [&ended];
        "core::token::Expiry" Debug Serialize => [Expiry::Never, record.validity.expires_at];
        "core::token::Previous" Debug =>
            [record.previous.as_ref().unwrap(), &Previous::new(record.digest.clone(), now)];
        "core::token::State" Debug Serialize => [State::Active, State::Revoked(ended.clone())];
        "core::token::TokenRecord" Debug => page.records.iter().chain([record]).collect::<Vec<_>>();
        "core::token::Usage" Debug => [record.usage, Usage::default()];
        "core::token::Validity" Debug Serialize => [record.validity, Validity::new(None, Expiry::Never)];
        "core::verify::Accepted" Debug => [accepted.unwrap()];
        "core::verify::Access" Debug => [Access::needing(&ReadWrite::Read)];
        "core::verify::Facts" Debug => [facts];
        "http::answer::Answers" Debug => [Answers::default()];
        "http::answer::Denial" Debug => [Denial::InvalidToken, Denial::InvalidRequest(in_query)];
        "http::answer::Problem" Debug Serialize => [problem];
        "http::bearer::BearerError" Debug Display => [in_query];
        "http::bearer::BearerText" Debug => [bearer_text];
        "http::bearer::Presented" Debug => [Presented::read(&headers, None).unwrap()];
        "http::extract::Authenticated" Debug => [authenticated];
        "http::extract::Denied" Debug => [denied];
        "http::layer::BearerFuture" Debug => [served];
        "http::layer::BearerLayer" Debug => [&layer];
        "http::layer::BearerService" Debug => [service];
        "http::limit::Allowance" Debug => [allowance];
        "http::credentials::ClientAddress" Debug => [ClientAddress([192, 0, 2, 7].into())];
        "http::credentials::Credentials" Debug => [Credentials::Token(verified)];
        "http::evidence::Evidence" Debug => [layer.evidence(verified)];
        "http::routes::Declared" Debug => [&declared];
        "http::routes::Need" Debug => [&declared.need];
        "http::routes::Routes" Debug => [routes];
        "http::survey::Unguarded" Debug Display => unguarded;
        "import::Row" Debug => rows();
        "import::report::Outcome" Debug => outcomes;
        "import::report::Report" Debug Display => [&report];
        "import::report::Reported" Debug => report.rows.iter().collect::<Vec<_>>();
        "import::report::Skipped" Debug Display => reasons;
        "os::SystemClock" Debug => [SystemClock::new()];
        "os::SystemEntropy" Debug => [SystemEntropy::new()];
        "os::TokioTimer" Debug => [TokioTimer::new()];
        "ports::directory::Account" Debug => [Account::new(owner.clone(), 1, "alice", now)];
        "ports::directory::AccountKey" Debug => [AccountKey::Id(owner.clone())];
        "ports::directory::AccountKind" Debug => [AccountKind::Human];
        "ports::directory::DirectoryError" Debug Display => [DirectoryError("down".into())];
        "ports::entropy::EntropyError" Debug Display => [EntropyError];
        "ports::entropy::Generator" Debug => [Generator(&SystemEntropy::new())];
        "ports::factors::AttemptLimit" Debug => [AttemptLimit { attempts: 5, within: None }];
        "ports::factors::FactorRecord" Debug => [FactorRecord::new(scene.password.clone(), 1)];
        "ports::factors::Reservation" Debug => [Reservation::Granted];
        "ports::mailer::Mail" Debug => [Mail::new("alice@example.org", "Your code", password.clone().into())];
        "ports::mailer::MailError" Debug Display => [MailError("down".into())];
        "ports::sealer::SealError" Debug Display => [SealError];
        "ports::store::Found" Debug => [&found];
        "ports::store::Lookup" Debug => [&lookup, &Lookup::Id(id)];
        "ports::store::StoreError" Debug Display => [missing(), StoreError::Corrupt(format!("token {id}"))];
        "ports::store::change::Applied" Debug => [
            Applied::Conflict(Box::new(record.clone())),
            Applied::Done { record: Box::new(record.clone()), epoch: Epoch(1), cascaded: vec![id] },
        ];
        "ports::store::change::EventQuery" Debug => [EventQuery::after(0, 1)];
        "ports::store::change::Insert" Debug => [Insert::new(record.clone(), events[0].event.clone())];
        "ports::store::change::Inserted" Debug => [Inserted::Stored(Box::new(record.clone()), Epoch(1))];
        "ports::store::change::MassRevocation" Debug => [&revocation];
        "ports::store::change::OwnerChange" Debug => [owner_change];
        "ports::store::change::OwnerChanged" Debug => [owner_changed];
        "ports::store::change::OwnerSet" Debug => [owner_set];
        "ports::store::change::Revoked" Debug => [revoked];
        "ports::store::change::StoredEvent" Debug => events.iter().collect::<Vec<_>>();
        "ports::store::change::Use" Debug => [Use::new(id, record.usage)];
        "ports::store::node::NodeId" Debug => [node_report.node];
        "ports::store::node::NodeReport" Debug => [node_report];
        "ports::store::query::Cursor" Debug => [page.next.clone().unwrap_or_else(|| Cursor("none".into()))];
        "ports::store::query::Filter" Debug => [&revocation.filter];
        "ports::store::query::Order" Debug => [Order::Number];
        "ports::store::query::Page" Debug => [&page, &Page::default()];
        "ports::store::query::Query" Debug => [Query::new(Filter::default(), 1)];
        "ports::store::query::Start" Debug => [Start::Beginning];
        "ports::store::query::StateName" Debug => [StateName::of(record)];
        "ports::two_factor::Answer" Debug => [&answer];
        "ports::two_factor::Enrolment" Debug => [Enrolment([1; 16])];
        "ports::two_factor::FactorError" Debug Display => [FactorError::Wrong, FactorError::unavailable(unknown_key.clone())];
        "service::Builder" Debug => [scene.builder()];
        "service::By" Debug => [By::token(&verified), By::Host(&host)];
        "service::Tokens" Debug => [tokens];
        "ports::two_factor::Sent" Debug => [Sent::new(true, now)];
        "service::error::AuthenticateError" Debug Display => [refusal, missing().into()];
        "service::error::ChangeFailure" Debug Display =>
            [ChangeFailure::Presenter(Refusal::WrongSecret), missing().into()];
        "service::error::ImportFailure" Debug Display =>
            [ImportFailure::Taken, ImportFailure::Unavailable(missing())];
        "service::error::IssueFailure" Debug Display =>
            [IssueFailure::AlreadyIssued(id), missing().into()];
        "service::freshness::FreshnessReport" Debug => [tokens.freshness()];
        "service::live::EndReason" Debug => [keyfob::service::live::EndReason::Revoked];
        "service::live::Live" Debug => [live];
        "service::two_factor::TwoFactor" Debug => [&two_factor];
        "service::two_factor::change::FactorsChanged" Debug => [codes];
        "service::two_factor::demand::Ask" Debug => [ask, ask.answered(&answer)];
        "service::two_factor::error::FactorChangeError" Debug Display =>
            [FactorChangeError::Unavailable(unknown_key.clone().into())];
        "service::two_factor::error::Question" Debug => [&question];
        "service::two_factor::error::StepUpError" Debug Display => [
            StepUpError::Unavailable(unknown_key.clone().into()),
            StepUpError::Wrong(question.clone()),
        ];
        "service::two_factor::vault::Vault" Debug => [scene.vault()];
        "service::import::Import" Debug => [block_on(tokens.import(foreign.clone())).unwrap()];
        "service::verified::Verified" Debug => [verified];
        "store::memory::MemoryStore" Debug => [&scene.store];
        "store::postgres::PostgresStore" Debug => NEEDING_A_SERVER;
        "store::postgres::options::PostgresOptions" Debug => [scene.options(), scene.options().pooled()];
        "store::sqlite::SqliteStore" Debug => [&scene.file];
        "testing::audit::RecordingSink" Debug => [&scene.heard];
        "testing::clock::ManualClock" Debug => [&scene.clock];
        "testing::clock::ManualTimer" Debug => [ManualTimer::new(&scene.clock)];
        "testing::laws::Law" Debug => LAWS.iter().collect::<Vec<_>>();
        "testing::laws::factors::FactorLaw" Debug => FACTOR_LAWS.iter().collect::<Vec<_>>();
        "testing::laws::factors::harness::FactorHarness" Debug => [FactorHarness::new(|_| MemoryStore::default(), |law| block_on(law))];
        "testing::laws::harness::Harness" Debug => [Harness::new(|_| MemoryStore::default(), |law| block_on(law))];
        "testing::randomness::SeededRandomness" Debug => [SeededRandomness::new(1)];
        "two_factor::Imported" Debug => [Imported::Given];
        "two_factor::backup_codes::BackupCode" Debug => one_code;
        "two_factor::backup_codes::BackupCodes" Debug => [backup];
        "two_factor::email::code::CodeShape" Debug => [CodeShape::Letters];
        "two_factor::email::EmailCode" Debug => [email];
        "two_factor::otp::Algorithm" Debug Serialize => [Algorithm::Sha1];
        "two_factor::otp::Digits" Debug Serialize => [Digits::Six];
        "two_factor::otpauth::OtpAuth" Debug => [enrolling];
        "two_factor::password::Password" Debug =>
            [Password::new(OnePassword(scene.password.clone()))];
        "two_factor::sealer::AeadSealer" Debug => [scene.sealer()];
        "two_factor::seed::TotpSeed" Debug => [seed()];
        "two_factor::totp::Totp" Debug => [totp];
        "two_factor::window::Window" Debug => [Window::usual()];
        "wire::awx::Awx" Debug => [awx];
        "wire::awx::Needs" Debug => [awx_needs];
        "wire::awx::Settings" Debug => [awx_settings];
        "wire::awx::caller::BasicCredentials" Debug => [awx::BasicCredentials::new("alice", text)];
        "wire::awx::caller::Caller" Debug => [awx_caller];
        "wire::awx::failure::BasicFault" Debug => [awx::BasicFault::Absent];
        "wire::awx::failure::Failure" Debug => [awx::Failure::Anonymous];
        "wire::awx::failure::FieldErrors" Debug Serialize => [awx::FieldErrors::default()];
        "wire::awx::cell::Column" Debug => [column];
        "wire::awx::cell::Holds" Debug => [awx::Holds::Text];
        "wire::awx::lookup::Table" Debug => [table];
        "wire::mattermost::Mattermost" Debug => [mattermost];
        "wire::mattermost::Needs" Debug => [mattermost_needs];
        "wire::mattermost::Settings" Debug => [settings];
        "wire::mattermost::caller::Caller" Debug => [user];
        "wire::mattermost::failure::Failure" Debug => [mattermost::Failure::SessionExpired];
        "wire::mattermost::failure::Field" Debug => [mattermost::Field::Token];
        "wire::mattermost::failure::Step" Debug => [mattermost::Step::Save];
        "wire::native::Native" Debug => [native];
        "wire::native::Needs" Debug => [&needs];
        "wire::oauth::OAuth" Debug => [oauth];
        "wire::oauth::basic::ClientCredentials" Debug => [client, mixed_up];
        "wire::rocketchat::Profile" Debug => [Profile::Legacy];
        "wire::rocketchat::RocketChat" Debug => [rocketchat];
        "wire::rocketchat::body::Body" Debug => [rocketchat::Body::read(&headers, sent.as_bytes())];
        "wire::rocketchat::caller::Caller" Debug => [caller];
        "wire::rocketchat::failure::Failure" Debug => [Failure::unauthorized()];
        "wire::rocketchat::failure::Members" Debug => [Members::default().with("token", text)];
        "wire::zitadel::Needs" Debug => [zitadel_needs];
        "wire::zitadel::Settings" Debug => [zitadel_settings];
        "wire::zitadel::Zitadel" Debug => [zitadel];
        "wire::zitadel::caller::Caller" Debug => [zitadel_caller];
        "wire::zitadel::code::Code" Debug => [zitadel::Code::NotFound];
        "wire::zitadel::failure::Failure" Debug => [zitadel::Failure::InvalidToken];
    }
}

/// Without one there is no value. What it shows is looked at where there is a server, among the
/// tests of the example.
const NEEDING_A_SERVER: [PostgresStore; 0] = [];

/// A life of some tokens, with their secrets kept to search for.
struct Scene {
    tokens: Tokens<ReadWrite>,
    rules: Rules,
    store: MemoryStore,
    file: SqliteStore,
    clock: ManualClock,
    heard: RecordingSink,
    key: Key,
    password: Vec<u8>,
    canaries: Canaries,
    secret: TokenSecret,
    replaced: TokenSecret,
    record: keyfob::TokenRecord,
    errors: Vec<String>,
}

impl Scene {
    fn play() -> Self {
        let _ = Log::of_this_process();
        let mut canaries = Canaries::default();
        let bytes = *b"\xF0\x9D\x84\x9Ethe-key-bytes-nobody-may-see\xC3\x28\x01";
        canaries.add(&bytes);
        let key = Key::new(KeyId::new("k1").unwrap(), &bytes).unwrap();
        let old_bytes: Vec<u8> = bytes.iter().rev().copied().collect();
        canaries.add(&old_bytes);
        let old = Key::new(KeyId::new("k0").unwrap(), &old_bytes).unwrap();
        let password = b"p4ssw0rd-or-seed".to_vec();
        canaries.add(&password);

        let format = sample::rules().format.reading(Shape::MATTERMOST);
        let before = Rules::new(format.clone(), Keyring::new(old.clone()));
        let mut bypassing = KindPolicy::session();
        bypassing.may_bypass_two_factor = true;
        let rules = Rules::new(format, Keyring::new(key.clone()).with_previous(old))
            .with_policy(Policy::default().with_kind(Kind::session(), bypassing));
        let (store, heard) = (MemoryStore::default(), RecordingSink::new());
        let file = SqliteStore::open(":memory:", sample::realm()).unwrap();
        let clock = ManualClock::new(sample::start());
        let tokens: Tokens<ReadWrite> =
            Builder::new(store.clone(), rules.clone(), clock.clone(), SeededRandomness::new(1))
                .audit(heard.clone())
                .build();
        let earlier: Tokens<ReadWrite> =
            Builder::new(store.clone(), before, clock.clone(), SeededRandomness::new(2)).build();
        let host = Actor::host();
        let by = By::Host(&host);
        let mut scene_errors = Vec::new();

        let (replaced, row) = block_on(earlier.issue(request(), by)).unwrap();
        // Moved to the current key, rotated, used while both secrets work, and after.
        let _ = block_on(tokens.authenticate(replaced.expose_secret(), &Access::any())).unwrap();
        let overlap = Rotation::with_overlap(TimeDelta::seconds(60));
        let (secret, _) = block_on(tokens.rotate(row.id, overlap, by)).unwrap();
        for text in [&replaced, &secret] {
            let _ = block_on(tokens.authenticate(text.expose_secret(), &Access::any())).unwrap();
        }
        clock.advance(TimeDelta::seconds(60));
        let (leaked, _) = block_on(tokens.issue(request(), by)).unwrap();
        assert!(block_on(tokens.report_leaked(leaked.expose_secret())).unwrap());
        let (gone, gone_row) = block_on(earlier.issue(request(), by)).unwrap();
        block_on(tokens.deactivate(gone_row.id, by, None)).unwrap();
        for text in [&replaced, &secret, &leaked, &gone] {
            canaries.add_token(text.expose_secret());
        }
        canaries.add(IMPORTED.as_bytes());
        let rows = import::mattermost::read(&export());
        let report =
            block_on(import::import(&tokens, rows, |owner| Some(owner.clone()), &Grant::Full));
        assert_eq!(report.taken(), 1, "{report}");
        for _ in 0..2 {
            let _ = block_on(tokens.authenticate(IMPORTED, &Access::any())).unwrap();
        }

        let mut fail = |error: &dyn std::error::Error| {
            let mut chain = Some(error);
            while let Some(error) = chain {
                scene_errors.push(format!("{error} {error:?} {error:#?}"));
                chain = error.source();
            }
        };
        let text = secret.expose_secret();
        let mixed = format!("{}{}", &leaked.expose_secret()[..34], &text[34..]);
        let lacking: Tokens<ReadWrite> = Builder::new(
            store.clone(),
            Rules::new(sample::rules().format, Keyring::unkeyed()),
            clock.clone(),
            SeededRandomness::new(3),
        )
        .build();
        for wrong in [
            replaced.expose_secret(),
            leaked.expose_secret(),
            gone.expose_secret(),
            &text[1..],
            &text[..text.len() - 1],
            &format!("{text} "),
            &mixed,
            &text.to_uppercase(),
        ] {
            fail(&block_on(tokens.authenticate(wrong, &Access::any())).unwrap_err());
            fail(&block_on(tokens.authenticate_strict(wrong, &Access::any())).unwrap_err());
        }
        // A secret of another token with a checksum that fits: the right id, the wrong secret.
        let forged = SeededRandomness::new(2);
        let twin: Tokens<ReadWrite> = Builder::new(
            MemoryStore::default(),
            Rules::new(sample::rules().format, Keyring::unkeyed()),
            clock.clone(),
            forged,
        )
        .build();
        let (same_id, same_row) = block_on(twin.issue(request(), by)).unwrap();
        assert_eq!(same_row.id, row.id);
        let (other_secret, _) = block_on(twin.rotate(row.id, Rotation::at_once(), by)).unwrap();
        canaries.add_token(same_id.expose_secret());
        canaries.add_token(other_secret.expose_secret());
        fail(
            &block_on(tokens.authenticate(other_secret.expose_secret(), &Access::any()))
                .unwrap_err(),
        );
        fail(&block_on(lacking.authenticate(text, &Access::any())).unwrap_err());
        fail(&block_on(tokens.issue(request().never_expires(), by)).unwrap_err());
        fail(&block_on(tokens.rotate(gone_row.id, overlap, by)).unwrap_err());
        fail(&text.parse::<TokenId>().unwrap_err());
        fail(&serde_json::from_value::<TokenId>(Value::String(text.into())).unwrap_err());
        fail(&serde_json::from_value::<KeyId>(Value::String(text.to_uppercase())).unwrap_err());
        fail(&Format::new(text).unwrap_err());
        for url in wrong_urls(&password) {
            fail(&PostgresOptions::from_url(&url).unwrap_err());
        }
        block_on(tokens.flush_usage()).unwrap();

        let record = block_on(tokens.find(row.id, by)).unwrap();
        Self {
            tokens,
            rules,
            store,
            file,
            clock,
            heard,
            key,
            password,
            canaries,
            secret,
            replaced,
            record,
            errors: scene_errors,
        }
    }

    fn request(&self) -> IssueRequest<ReadWrite> {
        asked().bypassing_two_factor(self.prove())
    }

    /// With one password, which everybody has.
    fn two_factor(&self, tokens: Tokens<ReadWrite>) -> TwoFactor<ReadWrite> {
        let mut policy = FactorPolicy::default();
        policy.tiers = Vec::new();
        TwoFactor::new(tokens, self.vault(), policy)
            .with(Password::new(OnePassword(self.password.clone())))
    }

    fn vault(&self) -> Vault {
        Vault::new(self.store.clone(), self.sealer(), sample::realm())
    }

    fn sealer(&self) -> AeadSealer {
        AeadSealer::new(&self.rules.keyring, SeededRandomness::new(7)).unwrap()
    }

    fn builder(&self) -> Builder {
        let randomness = SeededRandomness::new(4);
        Builder::new(self.store.clone(), self.rules.clone(), self.clock.clone(), randomness)
    }

    /// How to reach a server with the password.
    fn options(&self) -> PostgresOptions {
        let password = std::str::from_utf8(&self.password).unwrap();
        let options = PostgresOptions::from_url(&format!(
            "postgres://somebody:{password}@db.example.org/chat?options=-c%20x={password}"
        ));
        options.unwrap()
    }

    fn challenge(&self) -> Challenge {
        let operation = Operation::IssueBypassingToken;
        Challenge::new(sample::owner(1), operation, &self.password, None)
    }

    fn prove(&self) -> keyfob::TwoFactorProof {
        let answer = Answer::new(String::from_utf8(self.password.clone()).unwrap());
        self.clock.set(sample::start());
        // Its own service: the scene's has seen later times, and time does not go back.
        let tokens = self.builder().build::<ReadWrite>();
        let two_factor = self.two_factor(tokens);
        let (owner, parameters) = (sample::owner(1), asked().parameters());
        let ask = Ask::of(&owner, Operation::IssueBypassingToken, &parameters);
        let required = block_on(two_factor.demand(&ask)).unwrap_err();
        assert!(matches!(required, StepUpError::Required(_)), "{required:?}");
        block_on(two_factor.demand(&ask.answered(&answer))).unwrap()
    }

    /// All that the store has, as it shows it.
    fn dump(&self) -> Vec<String> {
        block_on(async {
            let store = &self.store;
            let page = store.query(&Query::new(Filter::default(), 1000)).await.unwrap();
            let events = store.events(&EventQuery::after(0, 1000)).await.unwrap();
            assert!(page.records.len() > 2 && events.len() > 5);
            let changes = store.invalidations(Epoch(0)).await.unwrap();
            let owner = store.owner(&sample::owner(1)).await.unwrap();
            vec![
                format!("{store:?} {store:#?}"),
                format!("{page:?} {page:#?}"),
                format!("{events:?} {events:#?}"),
                format!("{changes:?} {owner:?}"),
                format!("{:?}", self.heard.events()),
            ]
        })
    }
}

/// The text of a token of another product.
const IMPORTED: &str = "k7dh3ormtbnysfec1pqiw8xjzu";

/// It in that product's table, and once more where its id should be.
fn export() -> String {
    let row = |id: &str, token: &str| json!({"id": id, "token": token, "userid": "alice", "isactive": true});
    let id = TokenId::from_bytes([7; 16]).to_string();
    json!([row(&id, IMPORTED), row(&id, &IMPORTED[1..]), row(IMPORTED, &id)]).to_string()
}

/// URLs of PostgreSQL with a password in them, each with something else that is wrong.
fn wrong_urls(password: &[u8]) -> Vec<String> {
    let password = std::str::from_utf8(password).unwrap();
    let wrong = [
        "postgres://somebody:PASSWORD@host:port/db",
        "postgres://somebody:PASSWORD@host/db?unknown=1",
        "postgres://somebody:PASSWORD@host/db?sslmode=PASSWORD",
        "postgres://somebody:PASSWORD@host/db?PASSWORD=1",
        "host=host password='PASSWORD",
        "PASSWORD=1",
    ];
    wrong.iter().map(|url| url.replace("PASSWORD", password)).collect()
}

fn asked() -> IssueRequest<ReadWrite> {
    request().of_kind(Kind::session())
}

fn request() -> IssueRequest<ReadWrite> {
    let grant = Grant::only([ReadWrite::Read]).unwrap();
    let mut request = IssueRequest::new(sample::owner(1), grant);
    request.name = TokenName::new("backup").unwrap();
    request.note = Note::new("runs at night").unwrap();
    request.constraints = Constraints::default();
    request
}

/// Knows nobody.
#[derive(Debug)]
struct NoAccounts;

#[async_trait]
impl Directory for NoAccounts {
    async fn account(&self, _: &AccountKey) -> Result<Option<Account>, DirectoryError> {
        Ok(None)
    }

    async fn rights(&self, _: &Account) -> Result<Grant<ScopeName>, DirectoryError> {
        Err(DirectoryError("nobody has rights".into()))
    }

    async fn is_administrator(&self, _: &Account) -> Result<bool, DirectoryError> {
        Ok(false)
    }
}

/// Accepts one password.
#[derive(Clone)]
struct OnePassword(Vec<u8>);

impl std::fmt::Debug for OnePassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnePassword")
    }
}

#[async_trait]
impl Passwords for OnePassword {
    async fn enrolment(&self, _: &OwnerId) -> Result<Option<Enrolment>, BoxError> {
        Ok(Some(Enrolment([1; 16])))
    }

    async fn is_right(&self, _: &OwnerId, answer: &Answer) -> Result<bool, BoxError> {
        Ok(answer.expose_secret().as_bytes() == self.0)
    }
}

/// Knows everybody.
#[derive(Debug)]
struct Everybody;

#[async_trait]
impl Directory for Everybody {
    async fn account(&self, key: &AccountKey) -> Result<Option<Account>, DirectoryError> {
        let AccountKey::Id(id) = key else { return Ok(None) };
        Ok(Some(Account::new(id.clone(), 1, id.as_str(), sample::start())))
    }

    async fn rights(&self, _: &Account) -> Result<Grant<ScopeName>, DirectoryError> {
        Ok(Grant::Full)
    }

    async fn is_administrator(&self, _: &Account) -> Result<bool, DirectoryError> {
        Ok(false)
    }
}

#[async_trait]
impl Clients for Everybody {
    async fn client(
        &self,
        _: &ClientCredentials,
        _: Option<IpAddr>,
    ) -> Result<Option<Account>, DirectoryError> {
        Ok(None)
    }
}

#[async_trait]
impl Mailer for NoAccounts {
    async fn send(&self, _: &Mail) -> Result<(), MailError> {
        Ok(())
    }
}

/// Every run of eight bytes of a secret, as it may be written.
#[derive(Default)]
struct Canaries(BTreeSet<String>);

impl Canaries {
    fn add(&mut self, secret: &[u8]) {
        for run in secret.windows(8) {
            self.0.extend(std::str::from_utf8(run).map(str::to_owned));
            self.0.insert(run.iter().map(|byte| format!("{byte:02x}")).collect());
            self.0.insert(run.iter().map(|byte| format!("{byte:02X}")).collect());
            let list: Vec<_> = run.iter().map(u8::to_string).collect();
            self.0.insert(list.join(","));
        }
    }

    /// The secret part of a token's text: 32 characters before the checksum's six.
    fn add_token(&mut self, text: &str) {
        self.add(&text.as_bytes()[text.len() - 38..text.len() - 6]);
    }

    fn found_in(&self, text: &str) -> Option<&String> {
        let packed: String = text.split_whitespace().collect();
        self.0.iter().find(|canary| text.contains(*canary) || packed.contains(*canary))
    }

    fn assert_absent_from(&self, text: &str, place: &str) {
        assert_eq!(self.found_in(text), None, "{place}: {text}");
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Every line from the first use of this on, of all threads.
    fn of_this_process() -> &'static Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Self::default();
            let writer = log.clone();
            tracing_subscriber::fmt()
                .with_max_level(LevelFilter::TRACE)
                .with_writer(move || writer.clone())
                .init();
            log
        })
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
