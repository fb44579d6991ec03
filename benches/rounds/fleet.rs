//! A service whose tokens are all in use.

use std::sync::Arc;
use std::time::Duration;

use keyfob::os::TokioTimer;
use keyfob::{
    Access, Actor, Builder, By, Format, Grant, IssueRequest, Key, KeyId, Keyring, Kind, KindPolicy,
    OwnerId, Policy, ReadWrite, Rules, Shape, TokenId, Tokens,
};

use crate::rounds::ready;

/// Tokens with their ids and texts, in an order that has nothing to do with where they are kept.
pub(crate) struct Fleet {
    pub(crate) tokens: Tokens<ReadWrite>,
    ids: Vec<TokenId>,
    /// One after the other, as requests bring them: the text itself is always at hand.
    texts: String,
    length: usize,
}

impl Fleet {
    /// So many tokens, ten an owner. The service keeps itself fresh to the end of the program.
    pub(crate) fn new(builder: Builder, size: usize, shape: Option<Shape>) -> Self {
        // A text without an id has a place of its own beside its token's.
        let places = if shape.is_some() { 2 * size } else { size };
        let tokens: Tokens<ReadWrite> = builder.expected_tokens(places).build();
        keep_up(&tokens);
        let host = Actor::host();
        let mut issued: Vec<(TokenId, String)> = (0..size)
            .map(|number| {
                let owner = OwnerId::new(format!("owner-{}", number / 10)).unwrap();
                let request = IssueRequest::new(owner, Grant::Full).in_shape(shape);
                let (secret, row) = ready(tokens.issue(request, By::Host(&host))).unwrap();
                (row.id, secret.expose_secret().to_owned())
            })
            .collect();
        // That so many were issued at once is too much news for the store to list: the index is
        // emptied once more.
        std::thread::sleep(Duration::from_millis(600));
        for (_, text) in &issued {
            let _ = ready(tokens.authenticate(text, &Access::any())).unwrap();
        }
        shuffle(&mut issued);
        let length = issued[0].1.len();
        let (ids, texts): (_, Vec<String>) = issued.into_iter().unzip();
        Self { tokens, ids, texts: texts.concat(), length }
    }

    pub(crate) fn texts(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.size()).map(|number| self.text(number))
    }

    pub(crate) fn size(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn id(&self, number: usize) -> TokenId {
        self.ids[number % self.size()]
    }

    pub(crate) fn text(&self, number: usize) -> &str {
        let start = number % self.size() * self.length;
        &self.texts[start..start + self.length]
    }
}

/// Keeps a service fresh, on a thread of its own, to the end of the program.
pub(crate) fn keep_up(tokens: &Tokens<ReadWrite>) {
    let upkeep = tokens.clone().upkeep(Arc::new(TokioTimer::new()));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(upkeep);
    });
}

/// The rules of a service that is measured: no quota, and a key if it is asked for.
pub(crate) fn rules(keyed: bool) -> Rules {
    let keyring = if keyed {
        Keyring::new(Key::new(KeyId::new("k1").unwrap(), &[7; 32]).unwrap())
    } else {
        Keyring::unkeyed()
    };
    let mut kind = KindPolicy::personal();
    kind.quota = None;
    Rules::new(Format::new("bench").unwrap(), keyring)
        .with_policy(Policy::default().with_kind(Kind::personal(), kind))
}

/// The same order in every run: a multiplicative generator is random enough to defeat a cache.
fn shuffle<T>(values: &mut [T]) {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    for index in (1..values.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        values.swap(index, (state >> 33) as usize % (index + 1));
    }
}
