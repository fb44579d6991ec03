//! The façade: tokens issued, authenticated and changed, over a store, a clock and an audit log.

mod authenticate;
mod change;
pub mod error;
mod fence;
mod find;
pub mod freshness;
pub mod import;
mod index;
mod issue;
mod list;
pub mod live;
mod meter;
mod owner;
mod rate;
mod rotate;
#[cfg(feature = "two-factor")]
#[cfg_attr(docsrs, doc(cfg(feature = "two-factor")))]
pub mod two_factor;
mod unknown;
mod upkeep;
mod usage;
pub mod verified;
mod withdraw;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use self::freshness::Keeping;
use self::index::Index;
use self::live::Registry;
use self::meter::Meter;
use self::rate::Rates;
use self::unknown::UnknownTexts;
use self::usage::Recorder;
use self::verified::Verified;
use crate::core::event::{Actor, Event};
use crate::core::freshness::Freshness;
use crate::core::policy::Rules;
use crate::core::scope::Scope;
use crate::ports::audit::AuditSink;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::ports::store::{NodeId, TokenStore};

/// All that a host does with tokens, in one handle. Clones share everything.
///
/// `S` is the host's vocabulary of scopes. The service keeps an index of the tokens in use, so
/// that [`authenticate`](Tokens::authenticate) usually neither waits, locks nor allocates.
///
/// **Many services, one store.** What other processes change is known here within the
/// [bound](Builder::bound), 2 seconds unless set, and in milliseconds while
/// [`upkeep`](Tokens::upkeep) runs and the store tells of changes. Who cannot wait so long asks
/// [`authenticate_strict`](Tokens::authenticate_strict), which always asks the store. The guide has
/// the [contract](crate::guide::revocation).
pub struct Tokens<S: Scope> {
    inner: Arc<Inner<S>>,
}

struct Inner<S: Scope> {
    store: Arc<dyn TokenStore>,
    rules: Rules,
    clock: Arc<dyn Clock>,
    tick_micros: i64,
    entropy: Arc<dyn Entropy>,
    audit: Arc<dyn AuditSink>,
    index: Index<S>,
    recorder: Recorder,
    rates: Rates,
    unknown: UnknownTexts,
    keeping: Keeping,
    live: Arc<Registry>,
    meter: Meter,
    /// Evidence names the service that made it: handles of another one mean something else.
    mark: u64,
}

/// Who asks for a change.
///
/// A caller that presents a token reaches its own tokens only, unless the host has found it to be
/// an administrator; everybody else's are as if they did not exist.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a caller presents a token or is the host itself")]
pub enum By<'a> {
    /// The host, on its own account or for somebody it has authenticated itself.
    Host(&'a Actor),
    /// Somebody who presents this token.
    Token {
        /// The evidence.
        verified: &'a Verified,
        /// Whether the host has found its owner to be an administrator.
        administrator: bool,
    },
}

impl<'a> By<'a> {
    /// The owner of this token, for its own tokens.
    #[must_use]
    pub const fn token(verified: &'a Verified) -> Self {
        Self::Token { verified, administrator: false }
    }

    /// The owner of this token, who is an administrator.
    #[must_use]
    pub const fn administrator(verified: &'a Verified) -> Self {
        Self::Token { verified, administrator: true }
    }
}

/// Puts a service together from parts of the host's choice.
#[derive(Debug)]
pub struct Builder {
    store: Arc<dyn TokenStore>,
    rules: Rules,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    audit: Arc<dyn AuditSink>,
    expected: usize,
    most: usize,
    unknown: u32,
    bound: Duration,
}

impl Builder {
    /// A service over this store, with these rules, in the store's realm.
    pub fn new(
        store: impl TokenStore,
        rules: Rules,
        clock: impl Clock,
        entropy: impl Entropy,
    ) -> Self {
        Self {
            rules: rules.in_realm(store.realm().clone()),
            store: Arc::new(store),
            clock: Arc::new(clock),
            entropy: Arc::new(entropy),
            audit: Arc::new(()),
            expected: 0,
            most: 20_000_000,
            unknown: UNKNOWN_TEXTS,
            bound: BOUND,
        }
    }

    /// With this clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// With this source of randomness.
    #[must_use]
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// With this sink for events.
    #[must_use]
    pub fn audit(mut self, audit: impl AuditSink) -> Self {
        self.audit = Arc::new(audit);
        self
    }

    /// How many tokens are in use, about: the index begins with room for as many, less than
    /// 128 bytes each, and grows when there are more. One whose text carries no id takes twice the room
    /// of another.
    #[must_use]
    pub const fn expected_tokens(mut self, expected: usize) -> Self {
        self.expected = expected;
        self
    }

    /// How many tokens the index holds at the most, 20 million unless set. Beyond that it asks
    /// the store about those it had to let go; no verdict changes.
    #[must_use]
    pub const fn most_indexed(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// How many texts without an id may be looked up in a second and found to be nobody's, 1,000
    /// unless set; while there are more, those that are not in the index are answered as
    /// unavailable. Native texts that are made up need no look-up, and are not counted.
    #[must_use]
    pub const fn unknown_texts(mut self, a_second: u32) -> Self {
        self.unknown = a_second;
        self
    }

    /// How long after a change has returned another process may still go by what was before: the
    /// bound of the revocation contract, between 0.2 and 30 seconds; what is beyond is taken for
    /// the nearer of them. 2 seconds unless set.
    ///
    /// A quarter of a second of trouble with the store is enough to make all verification ask it
    /// at 0.2 seconds; at 30, nobody notices any that is shorter than that, a revocation included.
    #[must_use]
    pub fn bound(mut self, bound: Duration) -> Self {
        self.bound = bound.clamp(SHORTEST_BOUND, LONGEST_BOUND);
        self
    }

    /// The service.
    #[must_use]
    pub fn build<S: Scope>(self) -> Tokens<S> {
        let (mut mark, mut node) = ([0; 8], [0; 16]);
        // The mark only tells services apart by chance; where there is no randomness nothing can
        // be issued either, and the addresses of the parts do as well. Nodes must be told apart
        // for sure: without a name this one asks the store each time.
        if self.entropy.fill(&mut mark).is_err() {
            mark = (Arc::as_ptr(&self.store).addr() as u64).to_ne_bytes();
        }
        let node = self.entropy.fill(&mut node).is_ok().then_some(NodeId(node));
        let tick = self.clock.tick();
        let freshness = Freshness::new(self.bound, tick.to_std().unwrap_or(Duration::MAX));
        Tokens {
            inner: Arc::new(Inner {
                index: Index::new(self.expected, self.most.max(self.expected), freshness),
                recorder: Recorder::new(),
                rates: Rates::new(Arc::clone(&self.clock)),
                unknown: UnknownTexts::new(self.unknown),
                keeping: Keeping::new(node, self.bound),
                live: Arc::default(),
                meter: Meter::default(),
                tick_micros: tick.num_microseconds().unwrap_or(i64::MAX),
                mark: u64::from_ne_bytes(mark),
                store: self.store,
                rules: self.rules,
                clock: self.clock,
                entropy: self.entropy,
                audit: self.audit,
            }),
        }
    }
}

impl<S: Scope> Tokens<S> {
    /// The store behind it, for what the service has no verb for. The index does not hear of
    /// changes that are made there.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn TokenStore> {
        &self.inner.store
    }

    /// What its decisions depend on.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.inner.rules
    }

    /// The clock of this node. Tokens are judged by [`now`](Tokens::now).
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// Where its randomness comes from.
    #[must_use]
    pub fn entropy(&self) -> &Arc<dyn Entropy> {
        &self.inner.entropy
    }

    /// What time it is by the store's clock, as well as it is known here without asking: what tokens
    /// are judged by, and what expiries and challenges should be reckoned from.
    ///
    /// While the store answers, it is never less than the store's, but for a tick of this node's
    /// clock, and ahead of it by no more than the last answer took to come. So it may go back by
    /// that much where the next answer comes sooner.
    ///
    /// A store that has no clock of its own goes by this node's, and never back: where the date was
    /// set ahead and back again, time stands still until it has come so far once more.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.inner.known_now()
    }

    /// How many secrets the index holds, and how many bytes its slots take.
    #[must_use]
    pub fn index_size(&self) -> (usize, usize) {
        self.inner.index.size()
    }
}

impl<S: Scope> Inner<S> {
    fn tell(&self, event: &Event) {
        self.audit.record(event);
        #[cfg(feature = "tracing")]
        tracing::info!(
            event = event.kind.code(),
            token = event.token.map(tracing::field::display),
            owner = event.owner.as_ref().map(tracing::field::display),
        );
    }
}

/// A store answers more than ten times as many, and somebody who guesses gains nothing by them.
const UNKNOWN_TEXTS: u32 = 1_000;

/// Long enough for a store to be away for a moment without anybody noticing, short enough that a
/// person who has revoked a token finds it revoked.
const BOUND: Duration = Duration::from_secs(2);

/// Eight polls in this time are one every 25 ms; a store that is slower than that is not asked less.
const SHORTEST_BOUND: Duration = Duration::from_millis(200);

/// Longer is no bound that a person who revokes would wait for.
const LONGEST_BOUND: Duration = Duration::from_secs(30);

impl<S: Scope> Clone for Tokens<S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<S: Scope> fmt::Debug for Tokens<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("store", &self.inner.store).finish_non_exhaustive()
    }
}
