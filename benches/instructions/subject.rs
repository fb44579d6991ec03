//! What is counted.

use std::convert::Infallible;
use std::hint::black_box;

use chrono::DateTime;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response, StatusCode};
use keyfob::http::BearerLayer;
use keyfob::ports::clock::Clock;
use keyfob::store::memory::MemoryStore;
use keyfob::testing::{SeededRandomness, block_on};
use keyfob::{
    Access, Actor, Builder, By, Format, Grant, IssueRequest, Key, KeyId, Keyring, OwnerId,
    ReadWrite, Rules, Shape, Tokens,
};
use tower::{Layer as _, Service, service_fn};

/// Calls of one kind.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    /// Makes so many calls.
    pub(crate) run: fn(u32),
    /// The subject whose instructions are not counted, if this one is checked at all.
    pub(crate) without: Option<&'static str>,
}

pub(crate) const SUBJECTS: &[Subject] = &[
    Subject { name: "digest", run: |calls| Scene::new(false, None).digest(calls), without: None },
    Subject {
        name: "keyed_digest",
        run: |calls| Scene::new(true, None).digest(calls),
        without: None,
    },
    Subject {
        name: "text_digest",
        run: |calls| Scene::new(false, Some(Shape::AWX)).digest(calls),
        without: None,
    },
    Subject { name: "nothing", run: |calls| Scene::new(false, None).nothing(calls), without: None },
    Subject {
        name: "hit",
        run: |calls| Scene::new(false, None).authenticate(calls),
        without: Some("digest"),
    },
    Subject {
        name: "hit_at_once",
        run: |calls| Scene::new(false, None).authenticate_now(calls),
        without: Some("digest"),
    },
    Subject {
        name: "hit_among_many",
        run: |calls| Scene::new(false, None).authenticate_many(calls),
        without: Some("digest"),
    },
    Subject {
        name: "keyed_hit",
        run: |calls| Scene::new(true, None).authenticate(calls),
        without: Some("keyed_digest"),
    },
    Subject {
        name: "hit_without_id",
        run: |calls| Scene::new(false, Some(Shape::AWX)).authenticate(calls),
        without: Some("text_digest"),
    },
    Subject {
        name: "digest_without_layer",
        run: |calls| {
            let scene = Scene::new(false, None);
            scene.digest(calls);
            scene.serve(calls);
        },
        without: None,
    },
    Subject {
        name: "hit_behind_layer",
        run: |calls| Scene::new(false, None).serve_behind_layer(calls),
        without: Some("digest_without_layer"),
    },
    Subject {
        name: "wrong_shape",
        run: |calls| Scene::new(false, None).refuse(calls, |text| text.pop().is_some()),
        without: Some("nothing"),
    },
    Subject {
        name: "wrong_checksum",
        run: |calls| {
            Scene::new(false, None).refuse(calls, |text| {
                let last = text.pop().unwrap();
                text.push(if last == 'a' { 'b' } else { 'a' });
                true
            });
        },
        without: Some("nothing"),
    },
];

/// Some tokens in use, the same ones each time.
struct Scene {
    tokens: Tokens<ReadWrite>,
    texts: Vec<String>,
}

impl Scene {
    fn new(keyed: bool, shape: Option<Shape>) -> Self {
        let key = || Key::new(KeyId::new("k1").unwrap(), &[7; 32]).unwrap();
        let keyring = if keyed { Keyring::new(key()) } else { Keyring::unkeyed() };
        let format = Format::new("bench").unwrap();
        let rules = Rules::new(shape.iter().fold(format, |f, s| f.reading(*s)), keyring);
        let (store, entropy) = (MemoryStore::default(), SeededRandomness::new(7));
        let tokens = Builder::new(store, rules, Standing, entropy).build();
        let host = Actor::host();
        let texts: Vec<_> = (0..TOKENS)
            .map(|number| {
                let owner = OwnerId::new(format!("owner-{number}")).unwrap();
                let request = IssueRequest::new(owner, Grant::Full).in_shape(shape);
                let (secret, _) = block_on(tokens.issue(request, By::Host(&host))).unwrap();
                secret.expose_secret().to_owned()
            })
            .collect();
        for text in &texts {
            let _ = block_on(tokens.authenticate(text, &Access::any())).unwrap();
        }
        Self { tokens, texts }
    }

    fn each(&self, calls: u32, mut call: impl FnMut(&str)) {
        for text in self.texts.iter().cycle().take(calls.try_into().unwrap()) {
            call(black_box(text));
        }
    }

    /// The calls of one task, which awaits each of them.
    fn authenticate(&self, calls: u32) {
        let access = Access::needing(&ReadWrite::Read);
        block_on(async {
            for text in self.texts.iter().cycle().take(calls.try_into().unwrap()) {
                let verdict = self.tokens.authenticate(black_box(text), black_box(&access)).await;
                assert!(black_box(verdict).is_ok());
            }
        });
    }

    fn authenticate_many(&self, calls: u32) {
        let access = Access::needing(&ReadWrite::Read);
        let all: Vec<_> = self.texts.iter().map(|text| (text.as_str(), access)).collect();
        block_on(async {
            for calls in all.chunks(16).cycle().take(usize::try_from(calls).unwrap() / 16) {
                let verdicts = self.tokens.authenticate_many(black_box(calls)).await;
                assert!(black_box(verdicts).iter().all(Result::is_ok));
            }
        });
    }

    fn authenticate_now(&self, calls: u32) {
        let access = Access::needing(&ReadWrite::Read);
        self.each(calls, |text| {
            let verdict = self.tokens.authenticate_now(text, black_box(&access));
            assert!(black_box(verdict).unwrap().is_ok());
        });
    }

    fn refuse(&mut self, calls: u32, spoil: impl Fn(&mut String) -> bool) {
        assert!(self.texts.iter_mut().all(spoil));
        let access = Access::any();
        self.each(calls, |text| {
            let verdict = self.tokens.authenticate_now(text, black_box(&access));
            assert!(black_box(verdict).unwrap().is_err());
        });
    }

    /// A service that answers at once, and has a request with a token.
    fn serve(&self, calls: u32) {
        self.request(calls, service_fn(async |_| Ok(Response::new(String::new()))));
    }

    fn serve_behind_layer(&self, calls: u32) {
        let layer = BearerLayer::new(self.tokens.clone());
        let inner = service_fn(async |_| Ok(Response::new(String::new())));
        self.request(calls, layer.layer(inner));
    }

    fn request(
        &self,
        calls: u32,
        mut service: impl Service<Request<()>, Response = Response<String>, Error = Infallible>,
    ) {
        self.each(calls, |text| {
            let mut request = Request::new(());
            let value = HeaderValue::try_from(format!("Bearer {text}")).unwrap();
            request.headers_mut().insert(AUTHORIZATION, value);
            let response = block_on(service.call(black_box(request))).unwrap();
            assert_eq!(black_box(response).status(), StatusCode::OK);
        });
    }

    fn digest(&self, calls: u32) {
        let rules = self.tokens.rules();
        let presented: Vec<_> =
            self.texts.iter().map(|text| rules.format.parse(text.as_bytes()).unwrap()).collect();
        for presented in presented.iter().cycle().take(calls.try_into().unwrap()) {
            black_box(rules.keyring.current_digest(black_box(presented)));
        }
    }

    fn nothing(&self, calls: u32) {
        self.each(calls, |text| {
            black_box(text);
        });
    }
}

/// A clock that shows one moment.
#[derive(Debug)]
struct Standing;

impl Clock for Standing {
    fn now_micros(&self) -> i64 {
        DateTime::UNIX_EPOCH.timestamp_micros() + 1_800_000_000_000_000
    }

    fn boot_nanos(&self) -> u64 {
        1_000_000_000
    }
}

const TOKENS: usize = 64;
