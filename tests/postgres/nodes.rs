//! Several nodes on one database: whose time counts, how news travel, and who mints what is dead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use keyfob::os::{SystemClock, SystemEntropy, TokioTimer};
use keyfob::ports::clock::Clock;
use keyfob::ports::store::Lookup;
use keyfob::store::postgres::PostgresStore;
use keyfob::{
    Access, Actor, Builder, By, Grant, IssueRequest, Kind, KindPolicy, Lifetime, Minting, OwnerId,
    Policy, ReadWrite, State, Tokens,
};
use libtest_mimic::Trial;

use super::cluster::ask;
use super::world::{World, options, request, rules, service};
use super::{RUNTIME, SERVERS, connect, facts};

static HOST: Actor = Actor::host();
const BY: By<'static> = By::Host(&HOST);

pub(crate) fn trials() -> Vec<Trial> {
    facts(
        "nodes",
        &[
            ("a_token_that_is_being_revoked_mints_nothing_that_lives", races),
            ("nodes_whose_dates_are_wrong_judge_by_the_servers_time", dates),
            ("behind_a_pooler_news_comes_by_polls", pooled),
            ("what_strangers_notify_is_no_news", strangers),
        ],
    )
}

fn database() -> String {
    let database = SERVERS.database();
    SERVERS.cluster().tcp_url(&database)
}

fn store(url: &str) -> PostgresStore {
    RUNTIME.block_on(connect(options(url)))
}

/// Minted on one node while another one revokes: the mint came first, and its child is revoked with
/// its parent, or it failed.
fn races() {
    let races = if std::env::var_os("KEYFOB_LONG").is_some() { 100_000 } else { 2_000 };
    let url = database();
    let mut kind = KindPolicy::personal();
    kind.minting = Minting::Within;
    kind.quota = None;
    let policy = Policy::default().with_kind(Kind::personal(), kind);
    let node = || -> Tokens<ReadWrite> {
        Builder::system(store(&url), rules().with_policy(policy.clone())).build()
    };
    let (minting, revoking) = (node(), node());
    let begun = Instant::now();
    let racers: Vec<_> = (0..32)
        .map(|racer| {
            let (minting, revoking) = (minting.clone(), revoking.clone());
            RUNTIME.spawn(async move {
                let (mut minted, mut refused) = (0, 0);
                for round in 0..races / 32 + 1 {
                    let owner = OwnerId::new(format!("owner-{racer}")).unwrap();
                    let parent = IssueRequest::new(owner.clone(), Grant::Full);
                    let (secret, parent) = minting.issue(parent, BY).await.unwrap();
                    let text = secret.expose_secret();
                    let verified = minting.authenticate(text, &Access::any()).await.unwrap();
                    let mut child = IssueRequest::new(owner, Grant::Full);
                    child.lifetime = Lifetime::Default;
                    // On a quiet machine who begins first would always be first.
                    let head_start = Duration::from_millis(round % 8);
                    let (child, revoked) =
                        tokio::join!(minting.issue(child, By::token(&verified)), async {
                            tokio::time::sleep(head_start).await;
                            revoking.revoke(parent.id, BY, None).await
                        });
                    revoked.unwrap();
                    match child {
                        Ok((_, child)) => {
                            minted += 1;
                            let found = minting.store().find(&Lookup::Id(child.id)).await.unwrap();
                            let state = found.unwrap().record.state;
                            assert!(matches!(state, State::Revoked(_)), "{state:?}");
                        }
                        Err(refusal) => {
                            refused += 1;
                            let code = refusal.code();
                            assert!(["revoked", "store_unavailable"].contains(&code), "{code}");
                        }
                    }
                }
                (minted, refused)
            })
        })
        .collect();
    let (mut minted, mut refused) = (0, 0);
    for racer in racers {
        let (more, none) = RUNTIME.block_on(racer).unwrap();
        minted += more;
        refused += none;
    }
    println!("{minted} minted first and revoked, {refused} refused, in {:.0?}", begun.elapsed());
    assert!(minted > 0 && refused > 0, "they never met");
}

/// A machine whose date is off by this much.
#[derive(Debug)]
struct Wrong(TimeDelta);

impl Clock for Wrong {
    fn now_micros(&self) -> i64 {
        SystemClock::new().now_micros() + self.0.num_microseconds().unwrap()
    }

    fn boot_nanos(&self) -> u64 {
        SystemClock::new().boot_nanos()
    }
}

fn dates() {
    let url = database();
    let right = service(store(&url));
    let wrong = [TimeDelta::hours(1), -TimeDelta::hours(1), TimeDelta::days(3650)].map(|off| {
        let builder = Builder::new(store(&url), rules(), Wrong(off), SystemEntropy::new());
        builder.build::<ReadWrite>()
    });
    for issuing in std::iter::once(&right).chain(&wrong) {
        let mut request = request("alice");
        request.lifetime = Lifetime::For(TimeDelta::milliseconds(700));
        let (secret, row) = RUNTIME.block_on(issuing.issue(request, BY)).unwrap();
        let text = secret.expose_secret();
        let ends_at = row.validity.expires_at.at().unwrap();
        assert!(
            (ends_at - SystemClock::new().now()).abs() < TimeDelta::seconds(2),
            "issued by the server's time"
        );
        let verdicts = || {
            let all = wrong.iter().chain([&right]);
            let verdict = |node: &Tokens<ReadWrite>| {
                RUNTIME.block_on(async {
                    let first = node.authenticate(text, &Access::any()).await.is_ok();
                    let strict = node.authenticate_strict(text, &Access::any()).await.is_ok();
                    (first, strict)
                })
            };
            all.map(verdict).collect::<Vec<_>>()
        };
        assert_eq!(verdicts(), [(true, true); 4]);
        std::thread::sleep(Duration::from_millis(750));
        assert_eq!(verdicts(), [(false, false); 4]);
    }
}

fn pooled() {
    let url = SERVERS.pooler().url(&SERVERS.database());
    let node = || World::new(options(&url).pooled());
    let (here, there) = (node(), node());
    RUNTIME.spawn(there.tokens.clone().upkeep(Arc::new(TokioTimer::new())));
    for _ in 0..5 {
        let (text, id) = here.token("alice");
        there.warm(&text);
        RUNTIME.block_on(here.tokens.revoke(id, BY, None)).unwrap();
        let returned = Instant::now();
        while RUNTIME.block_on(there.verdict(&text)) == Ok(true) {
            assert!(returned.elapsed() < Duration::from_secs(2), "the contract is broken");
        }
    }
}

fn strangers() {
    let url = database();
    let (here, there) = (World::at(&url, 3000), World::at(&url, 3000));
    RUNTIME.spawn(there.tokens.clone().upkeep(Arc::new(TokioTimer::new())));
    let (text, id) = here.token("alice");
    there.warm(&text);
    let before = there.tokens.freshness().polls;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        for said in ["18446744073709551615 default", "", " ", "x y", "9 default", "-1 default"] {
            ask(&url, &format!("NOTIFY keyfob, '{said}'")).unwrap();
        }
    }
    // As often as without a hint, and half as often again: one that comes for nothing is let pass.
    let polls = there.tokens.freshness().polls - before;
    assert!(polls < 40, "{polls} polls in a second");
    assert_eq!(RUNTIME.block_on(there.verdict(&text)), Ok(true));
    RUNTIME.block_on(here.tokens.revoke(id, BY, None)).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(RUNTIME.block_on(there.verdict(&text)), Ok(false));
}
