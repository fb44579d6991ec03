//! Bodies that nobody sends who means well, to every route that takes one: the answer is the
//! product's own envelope, it comes at once, and nothing has changed.
//!
//! Where a product takes what looks wrong, its face does so too, and the tables here say where.
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails where it panics, in its helpers too, and measures time"
)]

#[expect(dead_code, reason = "others need more of it")]
#[path = "common/faces.rs"]
mod faces;

use std::time::{Duration, Instant};

use http::Method;
use keyfob::Kind;
use keyfob::wire::rocketchat::Profile;
use serde_json::Value;

use self::faces::{Answer, Host, OWNER, Served};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Face {
    Awx,
    Mattermost,
    Rocketchat(Profile),
    Zitadel,
}

const FACES: [Face; 5] = [
    Face::Awx,
    Face::Mattermost,
    Face::Rocketchat(Profile::Eight),
    Face::Rocketchat(Profile::Legacy),
    Face::Zitadel,
];

/// A route, and the JSON of each key that it reads, in a body that it takes.
struct Route {
    method: Method,
    declared: String,
    path: String,
    verb: String,
    keys: Vec<(&'static str, String)>,
}

struct Scene {
    face: Face,
    host: Host,
    served: Served,
    document: Value,
    session: String,
    routes: Vec<Route>,
}

impl Scene {
    /// A live token called `live`, and every route that takes a body, as it is declared.
    fn new(face: Face) -> Self {
        let host = Host::new();
        let served = match face {
            Face::Awx => host.awx(),
            Face::Mattermost => host.mattermost(),
            Face::Rocketchat(profile) => host.rocketchat(profile),
            Face::Zitadel => host.zitadel(),
        };
        let (session, (_, live)) = (host.session(), host.issue(Kind::personal(), "live"));
        let id = format!("\"{}\"", live.id);
        let takes_body =
            |method: &Method| [Method::PATCH, Method::POST, Method::PUT].contains(method);
        let takers = served.declared.iter().filter(|route| takes_body(&route.method));
        // It creates nothing, whatever it is given.
        let takers = takers.filter(|route| !route.path.ends_with("/authorized_tokens/"));
        let routes = takers.map(|route| {
            let verb = match (face, &route.method) {
                (Face::Awx, method) if *method == Method::POST => "create",
                (Face::Awx, _) => "change",
                _ => route.path.rsplit(['/', '.']).next().unwrap(),
            };
            let mut verb = verb.to_owned();
            if face == Face::Zitadel {
                // Both versions of its API have the same verbs.
                let version = if route.path.contains("v1") { "v1" } else { "v2" };
                verb = format!("{version} {verb}");
            }
            let text = |text: &str| format!("\"{text}\"");
            let soon = || text("2999-01-01T00:00:00Z");
            let keys = match verb.as_str() {
                "tokens" => vec![
                    ("description", text("new")),
                    ("expires_at", "0".to_owned()),
                    ("id", text("a")),
                    ("token", text("a")),
                    ("user_id", text("a")),
                    ("is_active", "true".to_owned()),
                ],
                "search" => vec![("term", id.clone())],
                // It reads none.
                "revoke" if route.path.contains("non_compliant") => Vec::new(),
                "revoke" | "disable" | "enable" => vec![("token_id", id.clone())],
                "rotate" => vec![("token_id", id.clone()), ("expires_at", "0".to_owned())],
                "generatePersonalAccessToken" => {
                    vec![("tokenName", text("new")), ("bypassTwoFactor", "false".to_owned())]
                }
                "regeneratePersonalAccessToken" | "removePersonalAccessToken" => {
                    vec![("tokenName", text("live"))]
                }
                "create" | "change" => {
                    vec![("description", text("new")), ("scope", text("write"))]
                }
                "v1 pats" | "v2 pats" => vec![("expirationDate", soon())],
                "v1 _search" => vec![("query", "{}".to_owned())],
                "v2 search" | "v2 ListPersonalAccessTokens" => vec![
                    ("pagination", "{}".to_owned()),
                    ("sortingColumn", "1".to_owned()),
                    ("filters", "[]".to_owned()),
                ],
                "v1 AddPersonalAccessToken" | "v2 AddPersonalAccessToken" => {
                    vec![("userId", text(OWNER)), ("expirationDate", soon())]
                }
                "v1 ListPersonalAccessTokens" => {
                    vec![("userId", text(OWNER)), ("query", "{}".to_owned())]
                }
                "v1 GetPersonalAccessTokenByIDs"
                | "v1 RemovePersonalAccessToken"
                | "v2 RemovePersonalAccessToken" => {
                    vec![("userId", text(OWNER)), ("tokenId", id.clone())]
                }
                other => panic!("what does {other} read?"),
            };
            let owner = if face == Face::Awx { "1" } else { OWNER };
            let path = route.path.replace("{user_id}", owner);
            let path = path.replace("{token_id}", &live.number.to_string());
            let method = route.method.clone();
            Route { method, declared: route.path.clone(), path, verb, keys }
        });
        let routes = routes.collect();
        let document = serde_json::from_str(&served.document).unwrap();
        Self { face, host, served, document, session, routes }
    }

    fn call(&self, route: &Route, body: &[u8]) -> Answer {
        let asked = Instant::now();
        let answer = self.served.call(&route.method, &route.path, &self.session, body);
        // Some hundred times what a request takes; reading deeper and deeper would take minutes.
        assert!(asked.elapsed() < LONGEST, "{} took {:?}", route.path, asked.elapsed());
        answer
    }

    #[track_caller]
    fn refuses(&self, route: &Route, what: &str, body: &[u8]) {
        let before = format!("{:?}", self.host.state());
        let answer = self.call(route, body);
        let what = format!("{:?} {} {what}: {answer:?}", self.face, route.path);
        assert!((400..500).contains(&answer.status), "{what}");
        let method = route.method.as_str().to_ascii_lowercase();
        let described = &self.document["paths"][&route.declared][method]["responses"];
        assert!(described[answer.status.to_string()].is_object(), "{what} is not described");
        assert_eq!(answer.content_type, "application/json", "{what}");
        let told: Value = serde_json::from_slice(&answer.body).unwrap();
        let told = told.as_object().unwrap();
        match self.face {
            Face::Awx => {
                let is_text = told.get("detail").is_some_and(Value::is_string);
                let of_fields = told.values().all(|errors| errors[0].is_string());
                assert!(if is_text { told.len() == 1 } else { of_fields }, "{what}");
            }
            Face::Mattermost => {
                let keys = ["detailed_error", "id", "message", "request_id", "status_code"];
                assert_eq!(told.keys().collect::<Vec<_>>(), keys, "{what}");
                assert_eq!(told["status_code"], answer.status, "{what}");
            }
            Face::Rocketchat(_) => {
                assert_eq!(told["success"], false, "{what}");
                assert!(told["error"].is_string(), "{what}");
                let known = ["success", "error", "errorType", "details"];
                assert!(told.keys().all(|key| known.contains(&key.as_str())), "{what}");
            }
            Face::Zitadel => {
                let is_call = route.path.starts_with("/zitadel.");
                assert!(told["code"].is_string() == is_call, "{what}");
                assert!(told["code"].is_number() != is_call, "{what}");
                assert!(told["message"].is_string(), "{what}");
                let known = ["code", "details", "message"];
                assert!(told.keys().all(|key| known.contains(&key.as_str())), "{what}");
            }
        }
        assert_eq!(format!("{:?}", self.host.state()), before, "{what}");
    }
}

/// Whether an answer says that it is done.
fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

const LONGEST: Duration = Duration::from_secs(1);

/// A body of these keys.
fn object(keys: &[(&'static str, String)]) -> String {
    let keys = keys.iter().map(|(key, value)| format!("\"{key}\":{value}"));
    format!("{{{}}}", keys.collect::<Vec<_>>().join(","))
}

/// The same with another value of one key, which need not be JSON.
fn with(keys: &[(&'static str, String)], wrong: &str, value: &[u8]) -> Vec<u8> {
    let body = object(keys);
    let (_, right) = keys.iter().find(|(key, _)| *key == wrong).unwrap();
    let right = format!("\"{wrong}\":{right}");
    let (before, after) = body.split_once(&right).unwrap();
    [before.as_bytes(), format!("\"{wrong}\":").as_bytes(), value, after.as_bytes()].concat()
}

#[test]
fn bodies_of_a_wrong_shape_are_refused_at_once_and_change_nothing() {
    let deep = |open: &str, close: &str| [open.repeat(DEPTH), close.repeat(DEPTH)].concat();
    let mut count = 0;
    for face in FACES {
        let scene = Scene::new(face);
        for route in &scene.routes {
            let good = object(&route.keys);
            let in_good = |value: &str| good.replacen('{', &format!("{{\"deep\":{value},"), 1);
            let long = format!("{good}{}", " ".repeat(MEBIBYTE));
            let long_key = format!("{{\"{}\":1}}", "a".repeat(MEBIBYTE));
            let not_utf8 =
                [good.trim_end_matches('}').as_bytes(), b",\"a\":\"\xff\xfe\"}"].concat();
            let bodies: [(&str, Vec<u8>); 21] = [
                ("nothing", Vec::new()),
                ("null", b"null".into()),
                ("an empty object", b"{}".into()),
                ("an empty list", b"[]".into()),
                ("a list of what would do", format!("[{good}]").into()),
                ("a text", b"\"tokenName\"".into()),
                ("a number", b"7".into()),
                ("a huge number", "7".repeat(400).into()),
                ("true", b"true".into()),
                ("half an object", b"{\"description\":\"a\",\"tokenName\":\"a\"".into()),
                ("no JSON", b"tokenName=a&description=a".into()),
                ("NUL characters", vec![0; 64]),
                ("a NUL before it", format!("\0{good}").into()),
                ("a byte order mark before it", format!("\u{feff}{good}").into()),
                ("UTF-16", good.encode_utf16().flat_map(u16::to_le_bytes).collect()),
                ("what is not UTF-8, under another key", not_utf8),
                ("deep lists", deep("[", "]").into()),
                ("deep objects", deep("{\"a\":", "}").into()),
                ("deep lists under another key", in_good(&deep("[", "]")).into()),
                ("a mebibyte", long.into()),
                ("a key of a mebibyte", long_key.into()),
            ];
            for (what, body) in &bodies {
                count += 1;
                if says_enough(face, &route.verb, what) {
                    let scene = Scene::new(face);
                    let answer = scene.call(route, body);
                    assert!(is_success(answer.status), "{} {what}: {answer:?}", route.path);
                } else {
                    scene.refuses(route, what, body);
                }
            }
            let too_long = scene.call(route, &bodies[19].1).status;
            let expected = match face {
                Face::Zitadel => 429,
                _ if route.keys.is_empty() => 400,
                _ => 413,
            };
            assert_eq!(too_long, expected, "{face:?} {}", route.path);
        }
    }
    assert_eq!(count, (5 + 7 + 3 + 3 + 11) * 21);
}

/// Whether a body that says nothing is one that a route takes.
fn says_enough(face: Face, verb: &str, what: &str) -> bool {
    match verb {
        _ if face == Face::Awx => matches!(what, "nothing" | "an empty object"),
        "v1 pats" | "v1 _search" | "v2 search" => matches!(what, "nothing" | "an empty object"),
        "v2 ListPersonalAccessTokens" => what == "an empty object",
        _ => false,
    }
}

const DEPTH: usize = 100_000;

const MEBIBYTE: usize = 1 << 20;

/// Values that no key is meant to have; as bytes, since some are no text.
fn wrong_values() -> Vec<Vec<u8>> {
    let mut values: Vec<Vec<u8>> = [
        r#"{"$ne":null}"#,
        r#"{"$gt":""}"#,
        r#"{"$regex":".*"}"#,
        r#"{"$where":"sleep(10000)"}"#,
        "{}",
        "[]",
        r#"["a"]"#,
        r#"[{"$ne":null}]"#,
        "true",
        "7",
        "1.5",
        "-1",
        "1e308",
        "1e400",
        "null",
        r#""""#,
        r#""\u0000""#,
        r#""a\u0000b""#,
        r#""\ud800""#,
        r#""' OR 1=1 --""#,
        r#""%""#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    values.push("9".repeat(400).into());
    values.push(b"\"\xff\xfe\"".into());
    values.push(b"\"a\0b\"".into());
    values.push(format!("\"{}\"", "a".repeat(256)).into());
    values.push(r#"{"$ne":"#.repeat(1000).into());
    values
}

/// Whether the face takes this value for this key: as its product does, by its language's rules.
fn is_taken(face: Face, verb: &str, key: &str, value: &str) -> bool {
    // What is not UTF-8 is shown with the sign for that.
    let is_json = !value.contains('\u{fffd}') && serde_json::from_str::<Value>(value).is_ok();
    let is_text = is_json && value.starts_with('"');
    let is_name = is_text && !value.contains(r"\u0000") && value.len() <= 257;
    match (face, verb, key) {
        // Numbers are written out, and null is as good as an empty text; what no name holds is kept
        // all the same.
        (Face::Awx, _, "description") => {
            (is_text && !value.contains(r"\u0000"))
                || matches!(value, "7" | "1.5" | "-1" | "1e308" | "null")
        }
        // Go: null is as good as absent. What is not used must be of its type all the same.
        (Face::Mattermost, "tokens", "id" | "token" | "user_id") => is_text || value == "null",
        (Face::Mattermost, "tokens", "is_active") => matches!(value, "true" | "null"),
        (Face::Mattermost, "tokens" | "rotate", "expires_at") => value == "null",
        (Face::Mattermost, "tokens", "description") => is_name && value != r#""""#,
        // It finds nothing, which is an answer.
        (Face::Mattermost, "search", "term") => is_text && value != r#""""#,
        // The validator of 8.x makes texts of numbers and the like; an empty name is one.
        (Face::Rocketchat(Profile::Eight), "generatePersonalAccessToken", "tokenName") => {
            is_name || matches!(value, "true" | "7" | "1.5" | "-1" | "1e308" | "null")
        }
        (Face::Rocketchat(Profile::Eight), _, "bypassTwoFactor") => {
            matches!(value, "true" | "null")
        }
        // Before that there was none: what is no name is as good as absent, and whatever is not
        // true bypasses nothing.
        (Face::Rocketchat(Profile::Legacy), "generatePersonalAccessToken", "tokenName") => {
            (is_name && value != r#""""#) || matches!(value, "7" | "1.5" | "-1" | "1e308")
        }
        (Face::Rocketchat(Profile::Legacy), _, "bypassTwoFactor") => is_json,
        // Protocol buffers: null is as good as absent, and unknown keys of a message are ignored.
        (Face::Zitadel, "v1 pats" | "v1 AddPersonalAccessToken", "expirationDate") => {
            value == "null"
        }
        (Face::Zitadel, _, "query" | "pagination") => {
            value == "null" || (is_json && value.starts_with('{'))
        }
        (Face::Zitadel, _, "sortingColumn") => matches!(value, "null" | "7" | "-1"),
        (Face::Zitadel, _, "filters") => matches!(value, "null" | "[]"),
        // There is an account by every name here.
        (Face::Zitadel, "v1 AddPersonalAccessToken" | "v2 AddPersonalAccessToken", "userId") => {
            is_name && value != r#""""# && value.len() < 200
        }
        // Nobody's tokens are none, which is an answer.
        (Face::Zitadel, "v1 ListPersonalAccessTokens", "userId") => {
            is_text && value != r#""""# && value.len() < 200
        }
        _ => false,
    }
}

#[test]
fn values_of_a_wrong_type_are_refused_but_where_the_product_takes_them() {
    let (mut refused, mut taken) = (0, 0);
    for face in FACES {
        let mut scene = Scene::new(face);
        for at in 0..scene.routes.len() {
            let keys: Vec<&'static str> =
                scene.routes[at].keys.iter().map(|(key, _)| *key).collect();
            for key in keys {
                for value in wrong_values() {
                    let shown = String::from_utf8_lossy(&value).into_owned();
                    let route = &scene.routes[at];
                    let body = with(&route.keys, key, &value);
                    if !is_taken(face, &route.verb, key, &shown) {
                        scene.refuses(route, &format!("{key}: {shown:.80}"), &body);
                        refused += 1;
                        continue;
                    }
                    let answer = scene.call(route, &body);
                    let what = format!("{face:?} {} {key}: {shown}", route.path);
                    assert!(is_success(answer.status), "{what}: {answer:?}");
                    taken += 1;
                    // It may have changed something.
                    scene = Scene::new(face);
                }
            }
        }
    }
    assert!(refused > 300 && taken > 50, "{refused} refused, {taken} taken");
}

/// What became of the token that a body names twice, once by what it is called and once by nothing.
fn twice(face: Face, verb: &str, last_is_live: bool) -> u16 {
    let scene = Scene::new(face);
    let route = scene.routes.iter().find(|route| route.verb == verb && !route.keys.is_empty());
    let route = route.unwrap();
    let (key, live) = &route.keys[0];
    let nobody = "\"nobody\"";
    let (first, last) =
        if last_is_live { (nobody, live.as_str()) } else { (live.as_str(), nobody) };
    let body = format!("{{\"{key}\":{first},\"{key}\":{last}}}");
    if last_is_live {
        return scene.call(route, body.as_bytes()).status;
    }
    scene.refuses(route, "a name twice", body.as_bytes());
    400
}

#[test]
fn of_a_key_that_is_there_twice_the_last_counts_as_in_go_and_javascript() {
    for verb in ["revoke", "disable", "enable", "rotate"] {
        assert_eq!(twice(Face::Mattermost, verb, true), 200, "{verb}");
        assert_eq!(twice(Face::Mattermost, verb, false), 400, "{verb}");
    }
    for profile in [Profile::Eight, Profile::Legacy] {
        for verb in ["regeneratePersonalAccessToken", "removePersonalAccessToken"] {
            assert_eq!(twice(Face::Rocketchat(profile), verb, true), 200, "{verb}");
            assert_eq!(twice(Face::Rocketchat(profile), verb, false), 400, "{verb}");
        }
    }
    // A creation is called by the last of its names, too.
    for face in FACES {
        let verb = match face {
            Face::Awx => "create",
            Face::Mattermost => "tokens",
            Face::Rocketchat(_) => "generatePersonalAccessToken",
            // Its tokens have no names.
            Face::Zitadel => continue,
        };
        let scene = Scene::new(face);
        let route = scene.routes.iter().find(|route| route.verb == verb).unwrap();
        let key = route.keys[0].0;
        let body = format!("{{\"{key}\":\"first\",\"{key}\":\"last\"}}");
        let answer = scene.call(route, body.as_bytes());
        assert!(is_success(answer.status), "{face:?}: {answer:?}");
        let (all, _) = scene.host.state();
        let names: Vec<&str> = all.iter().map(|token| token.name.as_str()).collect();
        assert_eq!(names, ["", "live", "last"], "{face:?}");
    }
}

#[test]
fn a_key_that_is_there_twice_is_refused_where_the_product_reads_protocol_buffers() {
    let scene = Scene::new(Face::Zitadel);
    for route in &scene.routes {
        for (key, value) in &route.keys {
            let good = object(&route.keys);
            let snake = key.replace("Id", "_id").replace("Date", "_date").replace("Col", "_col");
            for name in [*key, &snake] {
                let twice = good.replacen('{', &format!("{{\"{name}\":{value},"), 1);
                // One word is the same in both spellings.
                scene.refuses(route, key, twice.as_bytes());
            }
        }
    }
}

#[test]
fn what_follows_the_first_value_and_keys_that_nobody_knows_are_ignored_where_the_product_does() {
    for face in FACES {
        let routes = Scene::new(face).routes.len();
        for at in 0..routes {
            for (what, is_key) in [("unknown keys", true), ("bytes behind it", false)] {
                let scene = Scene::new(face);
                let route = &scene.routes[at];
                if route.keys.is_empty() {
                    continue;
                }
                let good = object(&route.keys);
                let body = if is_key {
                    good.replacen('{', r#"{"$where":{"$ne":null},"__proto__":{"admin":true},"#, 1)
                } else {
                    format!("{good} {{\"$ne\":")
                };
                let is_ignored = match face {
                    Face::Mattermost => true,
                    Face::Awx | Face::Rocketchat(Profile::Legacy) | Face::Zitadel => is_key,
                    Face::Rocketchat(Profile::Eight) => false,
                };
                if is_ignored {
                    let answer = scene.call(route, body.as_bytes());
                    let told = format!("{face:?} {} {what}: {answer:?}", route.path);
                    assert!(is_success(answer.status), "{told}");
                } else {
                    scene.refuses(route, what, body.as_bytes());
                }
            }
        }
    }
}
