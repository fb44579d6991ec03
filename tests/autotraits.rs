//! What hosts may do with the types without asking: send them, share them, and put ports into boxes.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails where it panics")]

#[path = "common/rustdoc.rs"]
mod rustdoc;

use std::sync::Arc;

use keyfob::http::Limiter;
use keyfob::ports::audit::AuditSink;
use keyfob::ports::clock::Clock;
use keyfob::ports::directory::Directory;
use keyfob::ports::entropy::Entropy;
use keyfob::ports::factors::FactorStore;
use keyfob::ports::mailer::Mailer;
use keyfob::ports::passwords::Passwords;
use keyfob::ports::sealer::SeedSealer;
use keyfob::ports::store::{EventQuery, Filter, Query, TokenStore};
use keyfob::ports::timer::Timer;
use keyfob::ports::two_factor::{Answer, TwoFactorVerifier};
use keyfob::service::error::{AuthenticateError, ChangeFailure, IssueFailure};
use keyfob::service::two_factor::{Ask, TwoFactor};
use keyfob::store::memory::MemoryStore;
use keyfob::store::postgres::{PostgresOptions, PostgresStore};
use keyfob::store::sqlite::SqliteStore;
use keyfob::two_factor::{BackupCodes, EmailCode, Totp};
use keyfob::wire::oauth::Clients;
use keyfob::{
    Access, Builder, By, ChatScope, IssueRequest, Narrowing, Operation, OwnerId, ReadWrite,
    RealmId, Rotation, Rules, Token, TokenId, TokenSecret, Tokens, TwoFactorProof, Verified,
};

#[test]
fn every_public_type_can_be_sent_and_shared() {
    for (path, traits) in rustdoc::public_types() {
        for name in ["Send", "Sync"] {
            // A future is polled by one task at a time, wherever that runs.
            let excepted = name == "Sync" && path == "http::layer::BearerFuture";
            assert!(traits.contains(name) != excepted, "{path}: {name}");
        }
    }
}

#[test]
fn what_a_host_holds_is_send_and_sync() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Tokens<ReadWrite>>();
    shared::<Tokens<ChatScope>>();
    shared::<Builder>();
    shared::<MemoryStore>();
    shared::<PostgresOptions>();
    shared::<PostgresStore>();
    shared::<SqliteStore>();
    shared::<Rules>();
    shared::<Verified>();
    shared::<TokenSecret>();
    shared::<TwoFactorProof>();
    shared::<IssueRequest<ChatScope>>();
    shared::<AuthenticateError>();
    shared::<IssueFailure>();
    shared::<ChangeFailure>();
}

#[test]
fn connecting_to_a_database_can_be_spawned() {
    // Never called: that it compiles is the fact.
    fn sent<F: Future + Send + 'static>(_: fn(PostgresOptions, RealmId) -> F) {}
    sent(PostgresStore::connect);
}

#[test]
fn every_port_can_be_an_object() {
    fn boxed<T: ?Sized + Send + Sync + 'static>() {
        fn shared<T: Send + Sync + 'static>() {}
        shared::<Arc<T>>();
        shared::<Box<T>>();
    }
    boxed::<dyn AuditSink>();
    boxed::<dyn Clients>();
    boxed::<dyn Clock>();
    boxed::<dyn Directory>();
    boxed::<dyn Entropy>();
    boxed::<dyn FactorStore>();
    boxed::<dyn Limiter>();
    boxed::<dyn Mailer>();
    boxed::<dyn Passwords>();
    boxed::<dyn SeedSealer>();
    boxed::<dyn Timer>();
    boxed::<dyn TokenStore>();
    boxed::<dyn TwoFactorVerifier>();
}

#[test]
fn a_token_is_judged_behind_a_reference_to_any_row() {
    // Never called: that it compiles is the fact.
    fn owner(token: &dyn Token) -> &OwnerId {
        token.owner()
    }
    let _: fn(&dyn Token) -> &OwnerId = owner;
}

#[test]
fn every_future_of_the_service_can_be_spawned() {
    // Never called: that it compiles is the fact.
    async fn all(tokens: Tokens<ReadWrite>, parts: Parts) {
        fn spawned<F: Future + Send>(future: F) -> F {
            future
        }
        let (id, owner, by) = (parts.id, &parts.owner, By::token(&parts.verified));
        let access = Access::<ReadWrite>::any();
        drop(spawned(tokens.authenticate("", &access)).await);
        drop(spawned(tokens.authenticate_many(&[("", access)])).await);
        drop(spawned(tokens.authenticate_strict("", &access)).await);
        drop(spawned(tokens.issue(parts.request, by)).await);
        drop(spawned(tokens.rotate(id, Rotation::at_once(), by)).await);
        drop(spawned(tokens.deactivate(id, by, None)).await);
        drop(spawned(tokens.reactivate(id, by)).await);
        drop(spawned(tokens.revoke(id, by, None)).await);
        drop(spawned(tokens.narrow(id, &Narrowing::default(), by)).await);
        drop(spawned(tokens.edit(id, None, None, by)).await);
        drop(spawned(tokens.revoke_all_of(owner, None, by, None)).await);
        drop(spawned(tokens.report_leaked("")).await);
        drop(spawned(tokens.deactivate_owner(owner, by, None)).await);
        drop(spawned(tokens.reactivate_owner(owner, by)).await);
        drop(spawned(tokens.delete_owner(owner, by, None)).await);
        drop(spawned(tokens.owner_state(owner)).await);
        drop(spawned(tokens.find(id, by)).await);
        drop(spawned(tokens.find_by_number(1, by)).await);
        drop(spawned(tokens.query(&Query::new(Filter::default(), 1))).await);
        drop(spawned(tokens.events(&EventQuery::after(0, 1))).await);
        drop(spawned(tokens.rotate_proved(id, Rotation::at_once(), parts.proof, by)).await);
        drop(spawned(tokens.withdraw_bypass(by)).await);
        drop(spawned(tokens.flush_usage()).await);
        spawned(tokens.upkeep(parts.timer)).await;
    }
    fn sent<F: Future + Send>(_: fn(Tokens<ReadWrite>, Parts) -> F) {}
    sent(all);
}

#[test]
fn every_future_of_second_factors_can_be_spawned() {
    // Never called: that it compiles is the fact.
    async fn all(second: Second, parts: [TwoFactorProof; 5]) {
        fn spawned<F: Future + Send>(future: F) -> F {
            future
        }
        let Second { two_factor, totp, email, backup, verified, owner, answer } = &second;
        let by = By::token(verified);
        let [one, two, three, four, five] = parts;
        let ask = Ask::by(verified, Operation::Host, b"").answered(answer);
        drop(spawned(two_factor.demand(&ask)).await);
        drop(spawned(two_factor.enrolled(owner)).await);
        drop(spawned(two_factor.reset(owner, None, by)).await);
        drop(spawned(totp.begin(two_factor, owner, "", one, by)).await);
        let changed = spawned(totp.confirm(two_factor, owner, answer, by)).await;
        drop(spawned(changed.unwrap().end_tokens(two_factor.tokens(), None, by)).await);
        drop(spawned(totp.disable(two_factor, owner, two, by)).await);
        drop(spawned(email.enable(two_factor, owner, three, by)).await);
        drop(spawned(email.disable(two_factor, owner, four, by)).await);
        drop(spawned(email.import(owner)).await);
        drop(spawned(backup.regenerate(two_factor, owner, five, by)).await);
        drop(spawned(backup.remaining(owner)).await);
    }
    fn sent<F: Future + Send>(_: fn(Second, [TwoFactorProof; 5]) -> F) {}
    sent(all);
}

struct Second {
    two_factor: TwoFactor<ReadWrite>,
    totp: Totp,
    email: EmailCode,
    backup: BackupCodes,
    verified: Verified,
    owner: OwnerId,
    answer: Answer,
}

struct Parts {
    id: TokenId,
    owner: OwnerId,
    verified: Verified,
    request: IssueRequest<ReadWrite>,
    proof: Option<TwoFactorProof>,
    timer: Arc<dyn Timer>,
}
