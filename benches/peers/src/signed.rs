//! Peers whose tokens carry a proof, and are kept nowhere.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::biscuit_auth::builder::{AuthorizerBuilder, date};
use ::biscuit_auth::datalog::RunLimits;
use ::biscuit_auth::{Biscuit, KeyPair};
use ::macaroon::{Format, Macaroon, MacaroonKey, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use pasetors::claims::{Claims, ClaimsValidationRules};
use pasetors::keys::{AsymmetricKeyPair, Generate as _, SymmetricKey};
use pasetors::token::UntrustedToken;
use pasetors::version4::V4;
use pasetors::{Local, Public, local, public};
use serde::{Deserialize, Serialize};

use crate::peer::{Peer, Revokes, TOKENS, Verify};

/// Tokens of one issuer, and the first of another's.
fn signed(
    name: &'static str,
    package: &'static str,
    checks: &'static str,
    (issue, foreign): (impl Fn(usize) -> String, String),
    verify: impl Verify + 'static,
) -> Peer {
    Peer {
        name,
        package: Some(package),
        revokes: Revokes::Nobody,
        checks,
        live: (0..TOKENS).map(issue).collect(),
        foreign,
        revoked: None,
        verify: Box::new(verify),
    }
}

/// What a JSON web token says here.
#[derive(Serialize, Deserialize)]
struct Said {
    sub: String,
    scope: String,
    exp: u64,
}

fn in_an_hour() -> SystemTime {
    SystemTime::now() + Duration::from_secs(3600)
}

fn web_token(algorithm: Algorithm, key: &EncodingKey, number: usize) -> String {
    let exp = in_an_hour().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let said = Said { sub: format!("owner-{number}"), scope: "read".to_owned(), exp };
    encode(&Header::new(algorithm), &said, key).unwrap()
}

fn verify_web_token(algorithm: Algorithm, key: DecodingKey) -> impl AsyncFn(&str) -> bool {
    let validation = Validation::new(algorithm);
    async move |text: &str| {
        decode::<Said>(text, &key, &validation).is_ok_and(|token| token.claims.scope == "read")
    }
}

pub(crate) fn hs256() -> Peer {
    let issue = |secret: [u8; 32]| {
        let key = EncodingKey::from_secret(&secret).unwrap();
        move |number| web_token(Algorithm::HS256, &key, number)
    };
    signed(
        "jsonwebtoken, HS256",
        "jsonwebtoken",
        "signature, expiry, scope",
        (issue([7; 32]), issue([8; 32])(0)),
        verify_web_token(Algorithm::HS256, DecodingKey::from_secret(&[7; 32]).unwrap()),
    )
}

/// The keys are those of RFC 8032, section 7.1, tests 1 and 2, which nobody has to keep a secret.
pub(crate) fn eddsa() -> Peer {
    let issue = |secret: &str| {
        // PKCS #8's frame around the 32 bytes of an Ed25519 secret.
        let der = hex::decode(["302e020100300506032b657004220420", secret].concat()).unwrap();
        let key = EncodingKey::from_ed_der(&der);
        move |number| web_token(Algorithm::EdDSA, &key, number)
    };
    let ours = issue("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let other = issue("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    signed(
        "jsonwebtoken, EdDSA",
        "jsonwebtoken",
        "signature, expiry, scope",
        (ours, other(0)),
        verify_web_token(Algorithm::EdDSA, DecodingKey::from_ed_der(&hex::decode(public).unwrap())),
    )
}

/// Three caveats: whose it is, what it may do, and until when.
pub(crate) fn macaroon() -> Peer {
    ::macaroon::initialize().unwrap();
    let issue = |key: MacaroonKey| {
        move |number: usize| {
            let id = format!("owner-{number}");
            let mut token = Macaroon::create(Some("bench".into()), &key, id.into()).unwrap();
            let until = in_an_hour().duration_since(UNIX_EPOCH).unwrap().as_secs();
            token.add_first_party_caveat("service = bench".into());
            token.add_first_party_caveat("scope = read".into());
            token.add_first_party_caveat(format!("until = {until}").into());
            token.serialize(Format::V2).unwrap()
        }
    };
    let key = MacaroonKey::generate(b"one");
    let mut verifier = Verifier::default();
    verifier.satisfy_exact("service = bench".into());
    verifier.satisfy_exact("scope = read".into());
    verifier.satisfy_general(|caveat| {
        let text = std::str::from_utf8(&caveat.0).unwrap_or_default();
        let until = text.strip_prefix("until = ").and_then(|until| until.parse().ok());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        until.is_some_and(|until: u64| now.as_secs() < until)
    });
    signed(
        "macaroon, three caveats",
        "macaroon",
        "signature, expiry, scope",
        (issue(key), issue(MacaroonKey::generate(b"other"))(0)),
        async move |text: &str| {
            let token = Macaroon::deserialize(text);
            token.is_ok_and(|token| verifier.verify(&token, &key, Vec::new()).is_ok())
        },
    )
}

fn claims(number: usize) -> Claims {
    let mut claims = Claims::new().unwrap();
    claims.subject(&format!("owner-{number}")).unwrap();
    claims.add_additional("scope", "read").unwrap();
    claims
}

fn may_read(claims: Option<&Claims>) -> bool {
    let scope = claims.and_then(|claims| claims.get_claim("scope"));
    scope.and_then(|scope| scope.as_str()) == Some("read")
}

pub(crate) fn paseto_local() -> Peer {
    let issue = |key: SymmetricKey<V4>| {
        move |number| local::encrypt(&key, &claims(number), None, None).unwrap()
    };
    let key = SymmetricKey::<V4>::generate().unwrap();
    let rules = ClaimsValidationRules::new();
    signed(
        "pasetors, v4.local",
        "pasetors",
        "cipher, expiry, scope",
        (issue(key.clone()), issue(SymmetricKey::generate().unwrap())(0)),
        async move |text: &str| {
            let token = UntrustedToken::<Local, V4>::try_from(text);
            let token = token.and_then(|token| local::decrypt(&key, &token, &rules, None, None));
            token.is_ok_and(|token| may_read(token.payload_claims()))
        },
    )
}

pub(crate) fn paseto_public() -> Peer {
    let issue = |pair: AsymmetricKeyPair<V4>| {
        move |number| public::sign(&pair.secret, &claims(number), None, None).unwrap()
    };
    let pair = AsymmetricKeyPair::<V4>::generate().unwrap();
    let rules = ClaimsValidationRules::new();
    let key = pair.public.clone();
    signed(
        "pasetors, v4.public",
        "pasetors",
        "signature, expiry, scope",
        (issue(pair), issue(AsymmetricKeyPair::generate().unwrap())(0)),
        async move |text: &str| {
            let token = UntrustedToken::<Public, V4>::try_from(text);
            let token = token.and_then(|token| public::verify(&key, &token, &rules, None, None));
            token.is_ok_and(|token| may_read(token.payload_claims()))
        },
    )
}

/// Its policy is parsed once. It gives up after a millisecond, which a machine that others use too
/// may take for nothing: it is given more, which costs nothing.
pub(crate) fn biscuit() -> Peer {
    let issue = |root: &KeyPair, number: usize| {
        let until = date(&in_an_hour());
        let token = Biscuit::builder()
            .code(format!(
                r#"owner("owner-{number}"); right("read"); check if time($now), $now < {until};"#
            ))
            .unwrap();
        token.build(root).unwrap().to_base64().unwrap()
    };
    let (root, other) = (KeyPair::new(), KeyPair::new());
    let key = root.public();
    let limits = RunLimits { max_time: Duration::from_secs(1), ..RunLimits::default() };
    let policy =
        AuthorizerBuilder::new().code(r#"allow if right("read");"#).unwrap().set_limits(limits);
    signed(
        "biscuit-auth, with an authorizer",
        "biscuit-auth",
        "signature, expiry, scope",
        (move |number| issue(&root, number), issue(&other, 0)),
        async move |text: &str| {
            let Ok(token) = Biscuit::from_base64(text, key) else {
                return false;
            };
            let authorizer = policy.clone().time().build(&token);
            authorizer.is_ok_and(|mut authorizer| authorizer.authorize().is_ok())
        },
    )
}
