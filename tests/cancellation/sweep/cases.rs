//! The public async functions, each with something for it to do.

use std::future::{Future, poll_fn};
use std::num::NonZeroU32;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use chrono::TimeDelta;
use keyfob::core::change::{Change, Patch};
use keyfob::core::digest::Digest;
use keyfob::core::import::ForeignToken;
use keyfob::core::owner::OwnerStanding;
use keyfob::core::token::Usage;
use keyfob::http::{Need, Routes, unguarded_routes};
use keyfob::import::{Row, import};
use keyfob::ports::store::{
    Epoch, EventQuery, Filter, Insert, Lookup, MassRevocation, NodeId, NodeReport, OwnerChange,
    Query, Use,
};
use keyfob::ports::two_factor::Answer;
use keyfob::service::two_factor::{Ask, FactorsChanged};
use keyfob::testing::{ManualTimer, sample};
use keyfob::two_factor::otp::{hotp, step};
use keyfob::two_factor::{Algorithm, Digits, TotpSeed};
use keyfob::{
    Access, By, Event, EventKind, Grant, Narrowing, Operation, ReadWrite, Rotation, Shape, State,
    TokenName,
};

use super::factors::{CODES, LIMITS, MAILS, MARK, METHOD};
use super::scene::{HOST, ITSELF, Pausing, Scene, Second, alice, bob, carol, request};

/// A token of another product, of which nothing is kept but the digest.
fn foreign(number: u8) -> ForeignToken {
    ForeignToken::new(bob(), Shape::MATTERMOST, Digest::from_bytes([number; 32]))
}

/// A function, called on a scene in which it succeeds.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) run: for<'s> fn(&'s Scene) -> Running<'s>,
}

type Running<'s> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 's>>;

macro_rules! cases {
    ($($name:literal, $scene:ident => $call:expr;)+) => {
        /// Functions that go different ways for different callers are here more than once.
        pub(crate) const CASES: &[Case] = &[$(Case {
            name: $name,
            run: |$scene| Box::pin(async move { $call.map(drop).map_err(|error| format!("{error:?}")) }),
        },)+];
    };
}

cases! {
    "Tokens::issue", s => s.tokens.issue(request(&bob()), HOST).await;
    "Tokens::issue", s => s.tokens.issue(request(&alice()), By::token(&s.verified)).await;
    "Tokens::import", s => s.tokens.import(foreign(7)).await;
    "import", s => {
        // One: of several, those that came before the drop are there, and are found again.
        let rows = vec![Row { called: "token".to_owned(), token: Ok(foreign(8)) }];
        let report = import(&s.tokens, rows, |owner| Some(owner.clone()), &Grant::Full).await;
        if report.taken() == 1 { Ok(()) } else { Err(report) }
    };
    "Tokens::authenticate", s => s.tokens.authenticate(&s.texts.unused, &Access::any()).await;
    "Tokens::authenticate", s => s.tokens.authenticate(&s.texts.unkeyed, &Access::any()).await;
    "Tokens::authenticate_many", s => {
        let calls = [&s.texts.unused, &s.texts.unkeyed].map(|text| (text.as_str(), Access::any()));
        s.tokens.authenticate_many(&calls).await.into_iter().collect::<Result<Vec<_>, _>>()
    };
    "Tokens::authenticate_strict", s => {
        s.tokens.authenticate_strict(&s.texts.parent, &Access::any()).await
    };
    "Tokens::find", s => s.tokens.find(s.child.id, By::token(&s.verified)).await;
    "Tokens::find_by_number", s => s.tokens.find_by_number(s.child.number, HOST).await;
    "Tokens::query", s => s.tokens.query(&Query::new(Filter::default(), 3)).await;
    "Tokens::events", s => s.tokens.events(&EventQuery::after(0, 3)).await;
    "Tokens::deactivate", s => s.tokens.deactivate(s.child.id, HOST, None).await;
    "Tokens::reactivate", s => s.tokens.reactivate(s.blocked.id, HOST).await;
    "Tokens::reactivate", s => s.tokens.reactivate(s.blocked.id, By::token(&s.verified)).await;
    "Tokens::revoke", s => s.tokens.revoke(s.parent.id, HOST, None).await;
    "Tokens::revoke", s => s.tokens.revoke(s.parent.id, By::token(&s.verified), None).await;
    "Tokens::narrow", s => {
        let narrowing = Narrowing::to_grant(Grant::only([ReadWrite::Read]).unwrap());
        s.tokens.narrow(s.parent.id, &narrowing, HOST).await
    };
    "Tokens::edit", s => s.tokens.edit(s.parent.id, renamed(), None, HOST).await;
    "Tokens::amend", s => {
        let mut narrowing = Narrowing::default();
        narrowing.expires_at = Some(s.parent.created_at + TimeDelta::days(1));
        s.tokens.amend(s.parent.id, renamed(), None, &narrowing, HOST).await
    };
    "Tokens::revoke_fenced", s => {
        s.tokens.revoke_fenced(s.parent.id, HOST, None, &ManualTimer::new(&s.clock)).await
    };
    "Tokens::fence", s => {
        s.tokens.fence(&ManualTimer::new(&s.clock)).await;
        Ok::<(), ()>(())
    };
    "Tokens::live", s => s.tokens.live(&s.verified).await;
    // Nothing ends it here: it is polled a few times.
    "Live::ended", s => {
        let live = s.tokens.live(&s.verified).await.map_err(|error| error.to_string())?;
        few_polls(live.ended()).await;
        Ok::<(), ()>(())
    };
    "Tokens::rotate", s => s.tokens.rotate(s.parent.id, Rotation::at_once(), HOST).await;
    "Tokens::rotate", s => {
        let rotation = Rotation::with_overlap(TimeDelta::hours(1));
        s.tokens.rotate(s.parent.id, rotation, By::token(&s.verified)).await
    };
    "Tokens::revoke_all_of", s => {
        s.tokens.revoke_all_of(&alice(), Some(s.parent.id), By::token(&s.verified), None).await
    };
    "Tokens::report_leaked", s => s.tokens.report_leaked(&s.texts.parent).await;
    "Tokens::deactivate_owner", s => s.tokens.deactivate_owner(&alice(), HOST, None).await;
    "Tokens::reactivate_owner", s => s.tokens.reactivate_owner(&carol(), HOST).await;
    "Tokens::delete_owner", s => s.tokens.delete_owner(&alice(), HOST, None).await;
    "Tokens::owner_state", s => s.tokens.owner_state(&alice()).await;
    "Tokens::rotate_proved", s => {
        let proof = s.second.proof_of(&bob(), "anything").await.ok();
        s.tokens.rotate_proved(s.parent.id, Rotation::at_once(), proof, HOST).await
    };
    "Tokens::withdraw_bypass", s => s.tokens.withdraw_bypass(HOST).await;
    "TwoFactor::demand", s => {
        let answer = Answer::new("1");
        let ask = Ask::by(&s.verified, Operation::Host, b"rename").answered(&answer);
        s.second.two_factor.demand(&ask).await
    };
    "TwoFactor::enrolled", s => s.second.two_factor.enrolled(&bob()).await;
    "TwoFactor::reset", s => {
        s.second.two_factor.reset(&bob(), None, HOST).await.map(FactorsChanged::keep_tokens)
    };
    "FactorsChanged::end_tokens", s => {
        let changed = s.second.changed.lock().unwrap().take().unwrap();
        changed.end_tokens(&s.tokens, None, HOST).await.1
    };
    "Totp::import", s => {
        let seed = TotpSeed::from_base32("JBSWY3DPEHPK3PXP").unwrap();
        s.second.totp.import(&bob(), seed).await
    };
    "Totp::begin", s => {
        let proof = s.second.proof_of(&bob(), "enable totp").await.unwrap();
        s.second.totp.begin(&s.second.two_factor, &bob(), "bob", proof, HOST).await.map(drop)
    };
    "Totp::confirm", s => {
        let Second { two_factor, totp, .. } = &s.second;
        let proof = s.second.proof_of(&bob(), "enable totp").await.unwrap();
        let shown = totp.begin(two_factor, &bob(), "bob", proof, HOST).await.unwrap();
        let seed = data_encoding::BASE32_NOPAD.decode(shown.expose_seed().as_bytes()).unwrap();
        let step = step(s.tokens.now().timestamp());
        let code = format!("{:06}", hotp(&seed, step, Algorithm::Sha1, Digits::Six));
        let confirmed = totp.confirm(two_factor, &bob(), &Answer::new(code), HOST).await;
        confirmed.map(FactorsChanged::keep_tokens)
    };
    "Totp::disable", s => {
        let Second { two_factor, totp, .. } = &s.second;
        let proof = s.second.proof_of(&carol(), "disable totp").await.unwrap();
        totp.disable(two_factor, &carol(), proof, HOST).await.map(FactorsChanged::keep_tokens)
    };
    "EmailCode::import", s => s.second.email.import(&bob()).await;
    "EmailCode::enable", s => {
        let proof = s.second.proof_of(&bob(), "enable email").await.unwrap();
        let enabled = s.second.email.enable(&s.second.two_factor, &bob(), proof, HOST).await;
        enabled.map(FactorsChanged::keep_tokens)
    };
    "EmailCode::disable", s => {
        let proof = s.second.proof_of(&carol(), "disable email").await.unwrap();
        let disabled = s.second.email.disable(&s.second.two_factor, &carol(), proof, HOST).await;
        disabled.map(FactorsChanged::keep_tokens)
    };
    "EmailCode::send_again", s => s.second.email.send_again(&s.second.two_factor, &carol()).await;
    "BackupCodes::regenerate", s => {
        let proof = s.second.proof_of(&bob(), "regenerate backup_code").await.unwrap();
        let drawn = s.second.backup.regenerate(&s.second.two_factor, &bob(), proof, HOST).await;
        drawn.map(FactorsChanged::keep_tokens)
    };
    "BackupCodes::disable", s => {
        let proof = s.second.proof_of(&carol(), "disable backup_code").await.unwrap();
        let disabled = s.second.backup.disable(&s.second.two_factor, &carol(), proof, HOST).await;
        // She has none: that is found out, and nothing is changed.
        if disabled.is_err() { Ok(()) } else { Err("there were some") }
    };
    "TwoFactor::unlock", s => s.second.two_factor.unlock(&alice(), None, HOST).await;
    "BackupCodes::remaining", s => s.second.backup.remaining(&bob()).await;
    "Tokens::flush_usage", s => s.tokens.flush_usage().await;
    "Evidence::permits", s => s.evidence().permits(&ReadWrite::Write).await;
    "Authenticated::requires", s => s.authenticated().await.requires(&ReadWrite::Write).await;
    "BearerLayer::authenticate", s => {
        s.layer().authenticate(&s.texts.unused, None).await
    };
    "Awx::account_in", s => {
        let face = s.awx();
        let mut parts = bearer(&s.texts.parent);
        let caller = face.caller(&mut parts, &ReadWrite::Read).await.unwrap();
        match face.account_in(&caller, Some("7")).await {
            Err(keyfob::wire::awx::Failure::Missing) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    };
    "Awx::caller", s => {
        s.awx().caller(&mut bearer(&s.texts.unused), &ReadWrite::Read).await
    };
    "Mattermost::authenticate", s => {
        s.mattermost().authenticate(&s.texts.unused, None, &ReadWrite::Read).await
    };
    "Mattermost::caller", s => {
        s.mattermost().caller(&mut bearer(&s.texts.unused), &ReadWrite::Read).await
    };
    "Zitadel::caller", s => s.zitadel().caller(&mut s.bearer(), &ReadWrite::Read).await;
    "Zitadel::may_act_as", s => {
        let (face, mut parts) = (s.zitadel(), s.bearer());
        let caller = face.caller(&mut parts, &ReadWrite::Read).await.unwrap();
        face.may_act_as(&caller, caller.account()).await
    };
    "Zitadel::managed_organization", s => {
        let (face, mut parts) = (s.zitadel(), s.bearer());
        let caller = face.caller(&mut parts, &ReadWrite::Write).await.unwrap();
        face.managed_organization(&caller, &parts.headers).await
    };
    "RocketChat::caller", s => {
        s.rocketchat().caller(&s.headers(), None, &ReadWrite::Write).await
    };
    "RocketChat::sign_in", s => {
        s.rocketchat().sign_in(&alice(), Some("1"), &s.headers()).await.map_err(|(failure, _)| failure)
    };
    "RocketChat::step_up", s => {
        let (face, headers) = (s.rocketchat(), s.headers());
        let caller = face.caller(&headers, None, &ReadWrite::Write).await.unwrap();
        face.step_up(&caller, &headers, None, Operation::Host, b"rename").await
    };
    "unguarded_routes", s => {
        let routes: Routes<ReadWrite> = Routes::new()
            .get("/any", Need::Token, async || "any")
            .post("/write", Need::Scope(ReadWrite::Write), async || "written");
        let (declared, router) = (routes.declared(), routes.into_router(&s.layer().strict()));
        let found = unguarded_routes(&declared, &router, &s.texts.child).await.unwrap();
        if found.is_empty() { Ok(()) } else { Err(found) }
    };

    "TokenStore::insert", s => {
        let mut record = sample::record(&bob(), 1);
        record.realm = s.store().realm().clone();
        let event = sample::event(EventKind::TokenIssued, &record, record.created_at);
        s.store().insert(Insert::new(record, event)).await
    };
    "TokenStore::find", s => s.store().find(&Lookup::Id(s.child.id)).await;
    "TokenStore::query", s => s.store().query(&Query::new(Filter::default(), 3)).await;
    "TokenStore::apply", s => {
        let mut patch = Patch::default();
        patch.state = Some(State::Revoked(sample::ended(1)));
        let event = sample::event(EventKind::TokenRevoked, &s.parent, sample::after(1));
        s.store().apply(&Change::new(s.parent.id, patch, event).cascading()).await
    };
    "TokenStore::revoke_all", s => {
        let event = sample::event(EventKind::TokenRevoked, &s.parent, sample::after(1));
        let revocation =
            MassRevocation::new(Filter::of_owner(alice()), sample::ended(1), event);
        s.store().revoke_all(&revocation).await
    };
    "TokenStore::mark_used", s => {
        let usage = Usage::new(Some(sample::after(9)), None, 1);
        let uses = [s.parent.id, s.child.id].map(|token| Use::new(token, usage));
        s.store().mark_used(&uses).await
    };
    "TokenStore::spend", s => s.store().spend(s.parent.id, NonZeroU32::MIN).await;
    "TokenStore::owner", s => s.store().owner(&carol()).await;
    "TokenStore::set_owner", s => {
        let event = sample::event(EventKind::OwnerDeleted, &s.parent, sample::after(1));
        let (to, at) = (OwnerStanding::Deleted, sample::after(1));
        s.store().set_owner(&OwnerChange::new(alice(), to, at, event)).await
    };
    "TokenStore::invalidations", s => s.store().invalidations(Epoch(0)).await;
    // It need not return where nothing changes meanwhile: it is polled a few times.
    "TokenStore::changed", s => {
        few_polls(s.store().changed(Epoch(0))).await;
        Ok::<(), ()>(())
    };
    "TokenStore::report_node", s => {
        let node = NodeId([7; 16]);
        let report = NodeReport::new(node, Epoch(1), Duration::from_secs(2), sample::after(1));
        s.store().report_node(&report).await
    };
    "TokenStore::nodes", s => s.store().nodes().await;
    "TokenStore::forget_node", s => s.store().forget_node(NodeId([7; 16])).await;
    "TokenStore::events", s => s.store().events(&EventQuery::after(0, 3)).await;
    "TokenStore::prune", s => s.store().prune(sample::after(1_000_000_000), 2).await;

    "FactorStore::factor", s => s.factors.store.factor(&alice(), METHOD).await;
    "FactorStore::set_factor", s => {
        s.factors.store.set_factor(&alice(), METHOD, 1, Some(b"another seed")).await
    };
    "FactorStore::set_factor", s => s.factors.store.set_factor(&alice(), METHOD, 1, None).await;
    "FactorStore::change_factor", s => {
        let event = Event::new(EventKind::FactorDisabled, ITSELF.clone(), sample::start());
        let event = event.about_owner(alice());
        s.factors.store.change_factor(&alice(), METHOD, 1, None, &event).await
    };
    "FactorStore::set_factor", s => {
        s.factors.store.set_factor(&bob(), METHOD, 0, Some(b"a first seed")).await
    };
    "FactorStore::reserve_attempt", s => {
        s.factors.store.reserve_attempt(&alice(), CODES, LIMITS, sample::after(9)).await
    };
    "FactorStore::reserve_attempt", s => {
        s.factors.store.reserve_attempt(&bob(), CODES, LIMITS, sample::after(9)).await
    };
    "FactorStore::peek_attempt", s => {
        s.factors.store.peek_attempt(&alice(), CODES, LIMITS, sample::after(9)).await
    };
    "FactorStore::clear_attempts", s => s.factors.store.clear_attempts(&alice(), MAILS).await;
    "FactorStore::raise_mark", s => s.factors.store.raise_mark(&alice(), MARK, u64::MAX).await;
    "FactorStore::raise_mark", s => s.factors.store.raise_mark(&bob(), MARK, u64::MAX).await;

    // It never returns: it is dropped as often as there is patience for.
    "Tokens::upkeep", s => {
        s.tokens.clone().upkeep(Arc::new(Pausing)).await;
        Ok::<(), ()>(())
    };
}

/// For what need not return: polled a few times, and dropped.
async fn few_polls<T>(future: impl Future<Output = T>) {
    let mut future = pin!(future);
    let mut polls = 0;
    poll_fn(|context| {
        polls += 1;
        context.waker().wake_by_ref();
        if polls > 4 { Poll::Ready(()) } else { future.as_mut().poll(context).map(drop) }
    })
    .await;
}

fn renamed() -> Option<TokenName> {
    Some(TokenName::new("renamed").unwrap())
}

/// A request that presents this token.
fn bearer(text: &str) -> http::request::Parts {
    let request = http::Request::builder().header("authorization", format!("Bearer {text}"));
    request.body(()).unwrap().into_parts().0
}
