//! Peers that keep what they have issued, or whose caller does.

use std::collections::HashMap;
use std::sync::{Mutex, RwLock};
use std::time::SystemTime;

use ::authrs::api_key::{ApiKeyConfig, ApiKeyManager};
use ::keyfob::store::memory::MemoryStore as Tokens;
use ::keyfob::{Access, Actor, Builder, By, ReadWrite};
use ::latchkey::token::{self, TokenHash};
use ::prefixed_api_key::{PrefixedApiKey, PrefixedApiKeyController};
use ::tower_sessions::session::{Id, Record};
use ::tower_sessions::{MemoryStore as Sessions, SessionStore as _};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::peer::{Peer, Revokes, TOKENS};
use crate::rounds::fleet::{Fleet, rules};
use crate::rounds::ready;

pub(crate) fn keyfob(keyed: bool) -> Peer {
    let fleet = |size| Fleet::new(Builder::system(Tokens::default(), rules(keyed)), size, None);
    let (ours, other) = (fleet(TOKENS + 1), fleet(1));
    let (host, tokens) = (Actor::host(), ours.tokens.clone());
    ready(tokens.revoke(ours.id(TOKENS), By::Host(&host), None)).unwrap();
    Peer {
        name: if keyed { "keyfob, with a key" } else { "keyfob" },
        package: Some("keyfob"),
        revokes: Revokes::Itself,
        checks: "form, checksum, digest, expiry, state, owner, scope",
        live: (0..TOKENS).map(|number| ours.text(number).to_owned()).collect(),
        foreign: other.text(0).to_owned(),
        revoked: Some(ours.text(TOKENS).to_owned()),
        verify: Box::new(async move |text: &str| {
            tokens.authenticate(text, &Access::needing(&ReadWrite::Read)).await.is_ok()
        }),
    }
}

/// Its token part is a hash; the map is what its documentation leaves to the caller, at its barest.
pub(crate) fn latchkey() -> Peer {
    let mut random = ::latchkey::os_rng().unwrap();
    let mut issue = || token::issue(&mut random);
    let issued: Vec<_> = (0..TOKENS).map(|_| issue()).collect();
    let owners = (0_u64..).zip(&issued).map(|(owner, issued)| (issued.hash, owner));
    let kept: RwLock<HashMap<TokenHash, u64>> = RwLock::new(owners.collect());
    let revoked = issue();
    kept.write().unwrap().insert(revoked.hash, 0);
    kept.write().unwrap().remove(&revoked.hash);
    Peer {
        name: "latchkey's hash in a HashMap",
        package: Some("latchkey"),
        revokes: Revokes::TheCaller,
        checks: "form, digest",
        live: issued.iter().map(|issued| issued.token.expose_secret().to_owned()).collect(),
        foreign: issue().token.expose_secret().to_owned(),
        revoked: Some(revoked.token.expose_secret().to_owned()),
        verify: Box::new(async move |text: &str| {
            TokenHash::of(text).is_some_and(|hash| kept.read().unwrap().contains_key(&hash))
        }),
    }
}

/// The caller finds the hash of the long half by the short one.
pub(crate) fn prefixed_api_key() -> Peer {
    let controller = PrefixedApiKeyController::configure()
        .prefix("bench".to_owned())
        .seam_defaults()
        .finalize()
        .unwrap();
    let kept = RwLock::new(HashMap::new());
    let issue = || {
        let (key, hash) = controller.try_generate_key_and_hash().unwrap();
        kept.write().unwrap().insert(key.short_token().to_owned(), hash);
        key
    };
    let live = (0..TOKENS).map(|_| issue().to_string()).collect();
    let revoked = issue();
    kept.write().unwrap().remove(revoked.short_token());
    Peer {
        name: "prefixed-api-key in a HashMap",
        package: Some("prefixed-api-key"),
        revokes: Revokes::TheCaller,
        checks: "form, digest",
        live,
        foreign: controller.generate_key().to_string(),
        revoked: Some(revoked.to_string()),
        verify: Box::new(async move |text: &str| {
            let Ok(key) = PrefixedApiKey::from_string(text) else {
                return false;
            };
            let kept = kept.read().unwrap();
            kept.get(key.short_token()).is_some_and(|hash| controller.check_hash(&key, hash))
        }),
    }
}

/// A session that knows whose it is and what it may do. The store is asked as the layer does it, but
/// without the layer and the cookie; nothing contends for its lock.
pub(crate) fn tower_sessions() -> Peer {
    let store = Sessions::default();
    let issue = |number: usize| {
        let data = HashMap::from([
            ("owner".to_owned(), Value::from(format!("owner-{number}"))),
            ("scope".to_owned(), Value::from("read")),
        ]);
        let expiry_date = time::OffsetDateTime::now_utc() + time::Duration::hours(1);
        let mut record = Record { id: Id::default(), data, expiry_date };
        ready(store.create(&mut record)).unwrap();
        record.id
    };
    let live = (0..TOKENS).map(|number| issue(number).to_string()).collect();
    let revoked = issue(TOKENS);
    ready(store.delete(&revoked)).unwrap();
    Peer {
        name: "tower-sessions' memory store",
        package: Some("tower-sessions"),
        revokes: Revokes::Itself,
        checks: "the secret itself, kept in clear; expiry, scope",
        live,
        foreign: Id::default().to_string(),
        revoked: Some(revoked.to_string()),
        verify: Box::new(async move |text: &str| {
            let Ok(id) = text.parse() else {
                return false;
            };
            let found = store.load(&id).await.ok().flatten();
            found.is_some_and(|session| session.data.get("scope") == Some(&Value::from("read")))
        }),
    }
}

/// It notes uses in itself, so that whoever shares it needs a lock.
pub(crate) fn authrs() -> Peer {
    let mut manager = ApiKeyManager::new(ApiKeyConfig::default());
    let issue = |manager: &mut ApiKeyManager, number: usize| {
        let key = manager.create_key(format!("owner-{number}")).with_prefix("bench");
        let (key, text) = key.with_scope("read").with_expires_in_days(30).build().unwrap();
        (key, text)
    };
    let mut live = Vec::new();
    for number in 0..TOKENS {
        let (key, text) = issue(&mut manager, number);
        manager.add_key(key);
        live.push(text);
    }
    let (key, revoked) = issue(&mut manager, TOKENS);
    let id = key.id.clone();
    manager.add_key(key);
    manager.revoke(&id).unwrap();
    let (_, foreign) = issue(&mut manager, 0);
    let manager = Mutex::new(manager);
    Peer {
        name: "authrs' API keys",
        package: Some("authrs"),
        revokes: Revokes::Itself,
        checks: "digest, expiry, state, scope",
        live,
        foreign,
        revoked: Some(revoked),
        verify: Box::new(async move |text: &str| {
            manager.lock().unwrap().validate_with_scopes(text, &["read"]).is_some()
        }),
    }
}

/// What is written first: the tokens themselves are the keys of a map.
pub(crate) fn plain() -> Peer {
    naive(
        "naive: the text in a HashMap",
        "the secret itself, kept in clear; expiry, scope",
        str::to_owned,
    )
}

/// What is written next: the tokens' digests are, in hexadecimal.
pub(crate) fn hexadecimal() -> Peer {
    let digest = |text: &str| hex::encode(Sha256::digest(text));
    naive("naive: SHA-256 in hex in a HashMap", "digest, expiry, scope", digest)
}

fn naive(name: &'static str, checks: &'static str, key: fn(&str) -> String) -> Peer {
    #[derive(Clone)]
    #[expect(dead_code, reason = "whoever is answered wants to know whose it is")]
    struct Row {
        owner: String,
        scopes: Vec<String>,
        expires_at: SystemTime,
    }
    let mut random = ::latchkey::os_rng().unwrap();
    let mut text = || format!("bench_{}", token::issue(&mut random).token.expose_secret());
    let live: Vec<String> = (0..TOKENS).map(|_| text()).collect();
    let row = |number: usize| Row {
        owner: format!("owner-{number}"),
        scopes: vec!["read".to_owned()],
        expires_at: SystemTime::now() + std::time::Duration::from_secs(3600),
    };
    let rows = live.iter().enumerate().map(|(number, text)| (key(text), row(number)));
    let kept: RwLock<HashMap<String, Row>> = RwLock::new(rows.collect());
    let revoked = text();
    kept.write().unwrap().insert(key(&revoked), row(TOKENS));
    kept.write().unwrap().remove(&key(&revoked));
    Peer {
        name,
        package: None,
        revokes: Revokes::TheCaller,
        checks,
        live,
        foreign: text(),
        revoked: Some(revoked),
        verify: Box::new(async move |text: &str| {
            let found = kept.read().unwrap().get(&key(text)).cloned();
            found.is_some_and(|row| {
                row.expires_at > SystemTime::now() && row.scopes.iter().any(|scope| scope == "read")
            })
        }),
    }
}
