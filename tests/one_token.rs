//! One token, whichever product's route made it: every other one lists it, ends it and honours what
//! it grants, as far as its owner may use them.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails where it panics, in its helpers too"
)]

#[expect(dead_code, reason = "others need more of it")]
#[path = "common/faces.rs"]
mod faces;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::DateTime;
use faces::{Host, Served};
use http::Method;
use keyfob::core::token::State;
use keyfob::core::verify::Access;
use keyfob::ports::directory::{Account, AccountKey, AccountKind, Directory, DirectoryError};
use keyfob::ports::store::{Filter, Query};
use keyfob::testing::block_on;
use keyfob::wire::rocketchat::Profile;
use keyfob::{
    Actor, By, Grant, IssueRequest, Kind, Lifetime, OwnerId, ReadWrite, Scope as _, ScopeName,
    TokenId, TokenName, TokenRecord,
};
use serde_json::{Value, json};

/// Where a token is made, seen, changed or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Face {
    Library,
    Native,
    Mattermost,
    RocketChat,
    Zitadel,
    Awx,
}

const FACES: [Face; 6] =
    [Face::Library, Face::Native, Face::Mattermost, Face::RocketChat, Face::Zitadel, Face::Awx];

/// What a maker is asked to grant, as its own wire says it: the word, if it has one for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Everything,
    Reading,
    Writing,
    Both,
}

impl Asked {
    fn grant(self) -> Grant<ReadWrite> {
        match self {
            Self::Everything => Grant::Full,
            Self::Reading => Grant::only([ReadWrite::Read]).unwrap(),
            Self::Writing => Grant::only([ReadWrite::Write]).unwrap(),
            Self::Both => Grant::only([ReadWrite::Read, ReadWrite::Write]).unwrap(),
        }
    }

    fn names(self) -> Vec<String> {
        match self.grant() {
            Grant::Full => Vec::new(),
            Grant::Only(scopes) => scopes.iter().map(|scope| scope.name().to_string()).collect(),
        }
    }

    fn may_change(self) -> bool {
        self != Self::Reading
    }
}

/// Every grant that every face can give.
const MADE: [(Face, Asked); 13] = [
    (Face::Library, Asked::Everything),
    (Face::Library, Asked::Reading),
    (Face::Library, Asked::Writing),
    (Face::Library, Asked::Both),
    (Face::Native, Asked::Everything),
    (Face::Native, Asked::Reading),
    (Face::Native, Asked::Writing),
    (Face::Native, Asked::Both),
    (Face::Awx, Asked::Reading),
    (Face::Awx, Asked::Writing),
    // These know of no scopes.
    (Face::Mattermost, Asked::Everything),
    (Face::RocketChat, Asked::Everything),
    (Face::Zitadel, Asked::Everything),
];

/// A person and a service account, neither of whom may more than have tokens.
#[derive(Debug)]
struct Accounts;

const PERSON: &str = "personpersonpersonpersonpe";
const MACHINE: &str = "machinemachinemachinemachi";

#[async_trait]
impl Directory for Accounts {
    async fn account(&self, key: &AccountKey) -> Result<Option<Account>, DirectoryError> {
        let all = [(PERSON, 1, AccountKind::Human), (MACHINE, 2, AccountKind::Machine)];
        let found = all.into_iter().find(|(id, number, _)| match key {
            AccountKey::Id(key) => key.as_str() == *id,
            AccountKey::Username(key) => key == id,
            AccountKey::Number(key) => key == number,
            _ => false,
        });
        Ok(found.map(|(id, number, kind)| {
            let id = OwnerId::new(id).unwrap();
            let mut account = Account::new(id.clone(), number, id.as_str(), DateTime::UNIX_EPOCH);
            account.roles = ["system_user_access_token", "user"].map(str::to_owned).into();
            account.organization = Some("acme".to_owned());
            account.kind = kind;
            account
        }))
    }

    async fn rights(&self, _: &Account) -> Result<Grant<ScopeName>, DirectoryError> {
        Ok(Grant::Full)
    }

    async fn is_administrator(&self, _: &Account) -> Result<bool, DirectoryError> {
        Ok(false)
    }
}

/// A host, one of its accounts, and a session of that.
struct Scene {
    host: Host,
    owner: &'static str,
    session: String,
    native: Served,
    mattermost: Served,
    rocketchat: Served,
    zitadel: Served,
    awx: Served,
}

/// A token, as whoever made it knows it.
#[derive(Clone, Debug)]
struct Made {
    text: String,
    id: TokenId,
    number: u64,
}

/// What a face shows of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// As one that works.
    Active,
    /// As one that is deactivated.
    Deactivated,
    /// It is listed by a wire that has no word for either.
    Listed,
    /// As one that is gone, or not at all.
    Gone,
}

impl Scene {
    fn new(owner: &'static str) -> Self {
        let host = Host::of(Arc::new(Accounts));
        let session = IssueRequest::new(OwnerId::new(owner).unwrap(), Grant::Full);
        let session = session.of_kind(Kind::session());
        let (session, _) = block_on(host.tokens.issue(session, By::Host(&Actor::host()))).unwrap();
        Self {
            owner,
            session: session.expose_secret().to_owned(),
            native: host.native(),
            mattermost: host.mattermost(),
            rocketchat: host.rocketchat(Profile::default()),
            zitadel: host.zitadel(),
            awx: host.awx(),
            host,
        }
    }

    /// What a call is answered: the status, and the body as JSON.
    fn call(&self, face: Face, route: &str, token: &str, body: &Value) -> (u16, Value) {
        let served = match face {
            Face::Native => &self.native,
            Face::Mattermost => &self.mattermost,
            Face::RocketChat => &self.rocketchat,
            Face::Zitadel => &self.zitadel,
            Face::Awx => &self.awx,
            Face::Library => panic!("it has no routes"),
        };
        let (method, path) = route.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = served.call_as(self.owner, &method, path, token, body.as_bytes());
        let told = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        (answer.status, told)
    }

    /// A call of the owner's that must do what it is for.
    #[track_caller]
    fn done(&self, face: Face, route: &str, body: &Value) -> Value {
        let (status, told) = self.call(face, route, &self.session, body);
        assert!((200..300).contains(&status), "{face:?}: {route}: {status}: {told}");
        told
    }

    fn rows(&self) -> Vec<TokenRecord> {
        let mut query = Query::new(Filter::default(), 1000);
        query.filter.kind = Some(Kind::personal());
        block_on(self.host.tokens.query(&query)).unwrap().records
    }

    fn row(&self, id: TokenId) -> TokenRecord {
        block_on(self.host.tokens.find(id, By::Host(&Actor::host()))).unwrap()
    }

    /// A new token, by the owner's session.
    fn make(&self, face: Face, asked: Asked) -> Made {
        let name = format!("of {face:?}, {asked:?}, {}", self.rows().len());
        let scopes = asked.names();
        let text = match face {
            Face::Library => {
                let request = IssueRequest::new(OwnerId::new(self.owner).unwrap(), asked.grant());
                let mut request = request.named(TokenName::new(name.as_str()).unwrap());
                request.lifetime = Lifetime::Unlimited;
                let host = Actor::host();
                let issued = self.host.tokens.issue(request, By::Host(&host));
                block_on(issued).unwrap().0.expose_secret().to_owned()
            }
            Face::Native => {
                let mut body = json!({"name": name, "expires_in": 86_400});
                if asked != Asked::Everything {
                    body["scopes"] = json!(scopes);
                }
                text(&self.done(face, "POST /tokens", &body)["token"])
            }
            Face::Mattermost => {
                let route = format!("POST /api/v4/users/{}/tokens", self.owner);
                text(&self.done(face, &route, &json!({"description": name}))["token"])
            }
            Face::RocketChat => {
                let route = "POST /api/v1/users.generatePersonalAccessToken";
                text(&self.done(face, route, &json!({"tokenName": name}))["token"])
            }
            Face::Zitadel => {
                let route = format!("POST /v2/users/{}/pats", self.owner);
                let body = json!({"expirationDate": "2028-01-01T00:00:00Z"});
                text(&self.done(face, &route, &body)["token"])
            }
            Face::Awx => {
                let body = json!({"description": name, "scope": scopes.join(" ")});
                text(&self.done(face, "POST /api/v2/tokens/", &body)["token"])
            }
        };
        let verified = block_on(self.host.tokens.authenticate(&text, &Access::any())).unwrap();
        let row = self.row(verified.id());
        Made { text, id: row.id, number: row.number }
    }

    /// What a token with this text is called on Rocket.Chat's face.
    fn name(&self, made: &Made) -> Option<String> {
        let last = &made.text[made.text.len() - 6..];
        let listed =
            self.done(Face::RocketChat, "GET /api/v1/users.getPersonalAccessTokens", &Value::Null);
        let mut all = listed["tokens"].as_array().unwrap().iter();
        all.find(|token| token["lastTokenPart"] == last).map(|token| text(&token["name"]))
    }

    /// What the face's list says of it to the owner.
    fn shown(&self, face: Face, made: &Made) -> Shown {
        let (list, key, id) = match face {
            Face::Library => {
                let row = self.rows().into_iter().find(|row| row.id == made.id).unwrap();
                return match row.state {
                    State::Active => Shown::Active,
                    State::Deactivated(_) => Shown::Deactivated,
                    State::Revoked(_) => Shown::Gone,
                };
            }
            Face::RocketChat => {
                return self.name(made).map_or(Shown::Gone, |_| Shown::Listed);
            }
            Face::Native => {
                let told = self.done(face, "GET /tokens?limit=200", &Value::Null);
                (told["tokens"].clone(), "id", json!(made.id.to_string()))
            }
            Face::Mattermost => {
                let route = format!("GET /api/v4/users/{}/tokens?per_page=200", self.owner);
                let told = self.done(face, &route, &Value::Null);
                (told, "id", json!(made.id.to_string()))
            }
            Face::Zitadel => {
                let route = "POST /v2/users/pats/search";
                let told = self.done(face, route, &json!({"pagination": {"limit": 1000}}));
                (told["result"].clone(), "id", json!(made.id.to_string()))
            }
            Face::Awx => {
                let told = self.done(face, "GET /api/v2/tokens/?page_size=200", &Value::Null);
                (told["results"].clone(), "id", json!(made.number))
            }
        };
        let Some(listed) = list.as_array().and_then(|all| all.iter().find(|one| one[key] == id))
        else {
            return Shown::Gone;
        };
        match (face, listed["state"].as_str(), listed["is_active"].as_bool()) {
            (Face::Native, Some("active"), _) | (Face::Mattermost, _, Some(true)) => Shown::Active,
            (Face::Native, Some("deactivated"), _) | (Face::Mattermost, _, Some(false)) => {
                Shown::Deactivated
            }
            (Face::Native, Some("revoked"), _) => Shown::Gone,
            (Face::Zitadel | Face::Awx, None, None) => Shown::Listed,
            other => panic!("{other:?}: {listed}"),
        }
    }

    /// Whether its bearer gets in, by a call that reads.
    fn works(&self, face: Face, made: &Made) -> bool {
        let (route, body) = match face {
            Face::Library => {
                return block_on(self.host.tokens.authenticate(&made.text, &Access::any())).is_ok();
            }
            Face::Native => ("GET /tokens".to_owned(), Value::Null),
            Face::Mattermost => (format!("GET /api/v4/users/{}/tokens", self.owner), Value::Null),
            Face::RocketChat => {
                ("GET /api/v1/users.getPersonalAccessTokens".to_owned(), Value::Null)
            }
            Face::Zitadel => ("POST /v2/users/pats/search".to_owned(), json!({})),
            Face::Awx => ("GET /api/v2/tokens/".to_owned(), Value::Null),
        };
        match self.call(face, &route, &made.text, &body) {
            (200, _) => true,
            (401, _) => false,
            other => panic!("{face:?}: {other:?}"),
        }
    }

    /// What every face says of it, and whether it works on each.
    #[track_caller]
    fn is(&self, made: &Made, expected: Shown, what: &dyn Debug) {
        for face in FACES {
            let told = match (expected, face) {
                (
                    Shown::Active | Shown::Deactivated,
                    Face::RocketChat | Face::Zitadel | Face::Awx,
                ) => Shown::Listed,
                _ => expected,
            };
            assert_eq!(self.shown(face, made), told, "{what:?}, shown by {face:?}");
            let works = expected == Shown::Active;
            assert_eq!(self.works(face, made), works, "{what:?}, used on {face:?}");
        }
    }

    /// Ends it for good.
    fn revoke(&self, face: Face, made: &Made) {
        let Made { id, number, .. } = made;
        let _: Value = match face {
            Face::Library => {
                let host = Actor::host();
                block_on(self.host.tokens.revoke(*id, By::Host(&host), None)).unwrap();
                Value::Null
            }
            Face::Native => self.done(face, &format!("DELETE /tokens/{id}"), &Value::Null),
            Face::Mattermost => {
                let body = json!({"token_id": id.to_string()});
                self.done(face, "POST /api/v4/users/tokens/revoke", &body)
            }
            Face::RocketChat => {
                let body = json!({"tokenName": self.name(made).unwrap()});
                self.done(face, "POST /api/v1/users.removePersonalAccessToken", &body)
            }
            Face::Zitadel => {
                let route = format!("DELETE /v2/users/{}/pats/{id}", self.owner);
                self.done(face, &route, &Value::Null)
            }
            Face::Awx => self.done(face, &format!("DELETE /api/v2/tokens/{number}/"), &Value::Null),
        };
    }

    /// Blocks it, or lets it work again; the other products have no verb for one token.
    fn switch(&self, face: Face, made: &Made, on: bool) {
        let id = made.id;
        match face {
            Face::Library => {
                let (tokens, host) = (&self.host.tokens, Actor::host());
                if on {
                    block_on(tokens.reactivate(id, By::Host(&host))).unwrap();
                } else {
                    block_on(tokens.deactivate(id, By::Host(&host), None)).unwrap();
                }
            }
            Face::Native => {
                let verb = if on { "reactivate" } else { "deactivate" };
                self.done(face, &format!("POST /tokens/{id}/{verb}"), &Value::Null);
            }
            Face::Mattermost => {
                let verb = if on { "enable" } else { "disable" };
                let body = json!({"token_id": id.to_string()});
                self.done(face, &format!("POST /api/v4/users/tokens/{verb}"), &body);
            }
            other => panic!("{other:?} has no such verb"),
        }
    }

    /// Gives it a new secret: the token as it is from then on.
    fn renew(&self, face: Face, made: &Made) -> Made {
        let id = made.id;
        let text = match face {
            Face::Library => {
                let rotation = keyfob::core::rotation::Rotation::at_once();
                let host = Actor::host();
                let rotated = self.host.tokens.rotate(id, rotation, By::Host(&host));
                block_on(rotated).unwrap().0.expose_secret().to_owned()
            }
            Face::Native => {
                let body = json!({});
                text(&self.done(face, &format!("POST /tokens/{id}/rotate"), &body)["token"])
            }
            Face::Mattermost => {
                let body = json!({"token_id": id.to_string()});
                text(&self.done(face, "POST /api/v4/users/tokens/rotate", &body)["token"])
            }
            Face::RocketChat => {
                let body = json!({"tokenName": self.name(made).unwrap()});
                let route = "POST /api/v1/users.regeneratePersonalAccessToken";
                text(&self.done(face, route, &body)["token"])
            }
            other => panic!("{other:?} has no such verb"),
        };
        let verified = block_on(self.host.tokens.authenticate(&text, &Access::any())).unwrap();
        let row = self.row(verified.id());
        Made { text, id: row.id, number: row.number }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// A scene for each account, with every grant that its faces give it.
fn crossed(mut each: impl FnMut(&Scene, Face, Asked)) {
    let mut crossings = 0;
    for owner in [PERSON, MACHINE] {
        let scene = Scene::new(owner);
        for (maker, asked) in MADE {
            // Only service accounts are given tokens there.
            if maker != Face::Zitadel || owner == MACHINE {
                each(&scene, maker, asked);
                crossings += 1;
            }
        }
    }
    assert_eq!(crossings, 2 * MADE.len() - 1);
}

#[test]
fn a_token_of_any_face_is_listed_and_revoked_through_every_face() {
    crossed(|scene, maker, asked| {
        for face in FACES {
            let made = scene.make(maker, asked);
            let what = (scene.owner, maker, asked, face);
            scene.is(&made, Shown::Active, &what);
            scene.revoke(face, &made);
            scene.is(&made, Shown::Gone, &what);
        }
    });
}

#[test]
fn a_token_of_any_face_is_deactivated_and_reactivated_where_there_is_a_verb_for_it() {
    crossed(|scene, maker, asked| {
        let made = scene.make(maker, asked);
        for off in [Face::Library, Face::Native, Face::Mattermost] {
            for on in [Face::Library, Face::Native, Face::Mattermost] {
                let what = (scene.owner, maker, asked, off, on);
                scene.switch(off, &made, false);
                scene.is(&made, Shown::Deactivated, &what);
                scene.switch(on, &made, true);
                scene.is(&made, Shown::Active, &what);
            }
        }
        // One that is blocked can be ended by those too that cannot block it.
        for face in FACES {
            let made = scene.make(maker, asked);
            scene.switch(Face::Library, &made, false);
            scene.revoke(face, &made);
            scene.is(&made, Shown::Gone, &(scene.owner, maker, asked, face));
        }
    });
}

#[test]
fn a_token_of_any_face_that_is_given_a_new_secret_is_known_by_it_on_every_face() {
    crossed(|scene, maker, asked| {
        let mut made = scene.make(maker, asked);
        for face in [Face::Library, Face::Native, Face::Mattermost, Face::RocketChat] {
            let (old, what) = (made.clone(), (scene.owner, maker, asked, face));
            made = scene.renew(face, &made);
            for face in FACES {
                assert!(!scene.works(face, &old), "{what:?}: the old text, on {face:?}");
            }
            scene.is(&made, Shown::Active, &what);
            let grant = scene.row(made.id).grant;
            assert_eq!(grant, asked.grant().names(), "{what:?}");
        }
    });
}

#[test]
fn an_account_that_is_deactivated_takes_its_tokens_along_on_every_face() {
    crossed(|scene, maker, asked| {
        let made = scene.make(maker, asked);
        let (tokens, host) = (&scene.host.tokens, Actor::host());
        let owner = OwnerId::new(scene.owner).unwrap();
        block_on(tokens.deactivate_owner(&owner, By::Host(&host), None)).unwrap();
        for face in FACES {
            assert!(!scene.works(face, &made), "{maker:?}, {asked:?}, on {face:?}");
        }
        block_on(tokens.reactivate_owner(&owner, By::Host(&host))).unwrap();
        scene.is(&made, Shown::Active, &(scene.owner, maker, asked));
    });
}

#[test]
fn what_a_token_grants_is_the_same_on_every_face() {
    crossed(|scene, maker, asked| {
        let made = scene.make(maker, asked);
        let Made { id, number, .. } = made;
        let what = (scene.owner, maker, asked);
        let shown = scene.done(Face::Native, &format!("GET /tokens/{id}"), &Value::Null);
        let expected =
            if asked == Asked::Everything { json!("full") } else { json!(asked.names()) };
        assert_eq!(shown["scopes"], expected, "{what:?}");
        let shown = scene.done(Face::Awx, &format!("GET /api/v2/tokens/{number}/"), &Value::Null);
        let expected = match asked {
            Asked::Both => "read write",
            Asked::Reading => "read",
            // It says what is enough; everything has no word there.
            Asked::Everything | Asked::Writing => "write",
        };
        assert_eq!(shown["scope"], expected, "{what:?}");
        let changes = |face: Face| {
            let fresh = scene.make(Face::Library, asked);
            let (status, told) = match face {
                Face::Library => {
                    let by = block_on(scene.host.tokens.authenticate(&made.text, &Access::any()))
                        .unwrap();
                    let grant = scene.host.tokens.grant_of(&by).unwrap();
                    let may = grant.permits(&ReadWrite::Write, &Grant::Full);
                    return assert_eq!(may, asked.may_change(), "{what:?}");
                }
                Face::Native => scene.call(
                    face,
                    &format!("DELETE /tokens/{}", fresh.id),
                    &made.text,
                    &Value::Null,
                ),
                Face::Mattermost => {
                    let body = json!({"token_id": fresh.id.to_string()});
                    scene.call(face, "POST /api/v4/users/tokens/revoke", &made.text, &body)
                }
                Face::RocketChat => {
                    let body = json!({"tokenName": scene.name(&fresh).unwrap()});
                    let route = "POST /api/v1/users.removePersonalAccessToken";
                    scene.call(face, route, &made.text, &body)
                }
                Face::Zitadel => {
                    let route = format!("DELETE /v2/users/{}/pats/{}", scene.owner, fresh.id);
                    scene.call(face, &route, &made.text, &Value::Null)
                }
                Face::Awx => {
                    let route = format!("DELETE /api/v2/tokens/{}/", fresh.number);
                    scene.call(face, &route, &made.text, &Value::Null)
                }
            };
            let may = asked.may_change();
            assert!(
                if may { (200..300).contains(&status) } else { status == 403 },
                "{what:?}: {told}"
            );
            scene.is(&fresh, if may { Shown::Gone } else { Shown::Active }, &(what, face));
        };
        FACES.into_iter().for_each(changes);
    });
}
