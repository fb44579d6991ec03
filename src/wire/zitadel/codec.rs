//! From messages to what is asked for. Pure: no state, no clock, no waiting.

use chrono::{DateTime, Utc};

use super::Settings;
use super::failure::Failure;
use super::message::Message;
use super::search::{Column, Condition, Relation};

/// The instant that stands for never on this wire.
pub(super) const NEVER: DateTime<Utc> = match DateTime::from_timestamp(253_402_300_799, 0) {
    Some(never) => never,
    None => DateTime::<Utc>::MAX_UTC,
};

/// A token that is to be made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Addition {
    pub(super) user: String,
    pub(super) expires_at: Option<DateTime<Utc>>,
}

/// A token that is named with its account.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) user: String,
    pub(super) token: String,
}

/// An account's tokens, or some of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) user: String,
    pub(super) offset: u64,
    /// Zero is no limit.
    pub(super) limit: u32,
}

/// Tokens by what is asked of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Search {
    pub(super) conditions: Vec<Condition>,
    pub(super) column: Column,
    pub(super) ascending: bool,
    pub(super) offset: u64,
    pub(super) limit: u32,
}

/// v1 wants an account and no more; the first second of the year 1 is no expiry either.
pub(super) fn addition_v1(message: &Message) -> Result<Addition, Failure> {
    let (user, expires_at) = (message.text("userId")?, message.instant("expirationDate")?);
    if user.is_empty() {
        let rule = "value length must be at least 1 runes";
        return Err(Failure::InvalidField { message: ADDITION, field: "UserId", rule });
    }
    let expires_at = expires_at.filter(|at| *at != NO_INSTANT);
    Ok(Addition { user: user.to_owned(), expires_at })
}

/// v2 wants an expiry too.
pub(super) fn addition_v2(message: &Message) -> Result<Addition, Failure> {
    let (user, expires_at) = (message.text("userId")?, message.instant("expirationDate")?);
    let user = id(ADDITION, "UserId", user)?;
    if expires_at.is_none() {
        let (field, rule) = ("ExpirationDate", "value is required");
        return Err(Failure::InvalidField { message: ADDITION, field, rule });
    }
    Ok(Addition { user, expires_at })
}

pub(super) fn removal(message: &Message) -> Result<Named, Failure> {
    named("RemovePersonalAccessTokenRequest", message)
}

pub(super) fn look_up(message: &Message) -> Result<Named, Failure> {
    named("GetPersonalAccessTokenByIDsRequest", message)
}

fn named(what: &'static str, message: &Message) -> Result<Named, Failure> {
    let (user, token) = (message.text("userId")?, message.text("tokenId")?);
    Ok(Named { user: id(what, "UserId", user)?, token: id(what, "TokenId", token)? })
}

/// The order that v1's clients may ask for has no effect, as in the product.
pub(super) fn listing(message: &Message) -> Result<Listing, Failure> {
    let user = message.text("userId")?;
    let query = message.message("query")?.unwrap_or_default();
    let (offset, limit) = (query.count("offset")?, limit(&query)?);
    query.flag("asc")?;
    let user = id("ListPersonalAccessTokensRequest", "UserId", user)?;
    Ok(Listing { user, offset, limit })
}

pub(super) fn search(message: &Message, settings: Settings) -> Result<Search, Failure> {
    let pagination = message.message("pagination")?.unwrap_or_default();
    let (offset, limit) = (pagination.count("offset")?, limit(&pagination)?);
    let ascending = pagination.flag("asc")?;
    let prefix = "PERSONAL_ACCESS_TOKEN_FIELD_NAME_";
    let column = message.choice("sortingColumn", prefix, &COLUMNS, Column::Created)?;
    let filters = message.messages("filters")?;
    if filters.len() > MOST_FILTERS {
        let (message, field) = ("ListPersonalAccessTokensRequest", "Filters");
        let rule = "value must contain no more than 64 item(s)";
        return Err(Failure::InvalidField { message, field, rule });
    }
    // What cannot be read is said before what is too long, and that before what is too much.
    let filters = filters.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
    for (at, filter) in filters.iter().enumerate() {
        let Some(Condition::Token(id) | Condition::User(id) | Condition::Organization(id)) = filter
        else {
            continue;
        };
        if id.chars().count() > LONGEST_ID {
            return Err(Failure::InvalidFilter { at });
        }
    }
    if limit > settings.max_limit {
        return Err(Failure::LimitExceeded);
    }
    let limit = if limit == 0 { settings.default_limit } else { limit };
    let conditions = filters.into_iter().collect::<Option<Vec<_>>>();
    let conditions = conditions.ok_or(Failure::EmptyFilter)?;
    Ok(Search { conditions, column, ascending, offset, limit })
}

/// What one filter asks; `None` where it asks nothing.
fn condition(filter: &Message) -> Result<Option<Condition>, Failure> {
    let mut conditions = Vec::new();
    for (field, of) in IDS {
        if let Some(filter) = filter.message(field)? {
            conditions.push(of(filter.text("id")?.to_owned()));
        }
    }
    for (field, of) in INSTANTS {
        if let Some(filter) = filter.message(field)? {
            let prefix = "TIMESTAMP_FILTER_METHOD_";
            let relation = filter.choice("method", prefix, &RELATIONS, Relation::Equals)?;
            let at = filter.instant("timestamp")?.unwrap_or(DateTime::UNIX_EPOCH);
            conditions.push(of(relation, at));
        }
    }
    if conditions.len() > 1 {
        return Err(Failure::Malformed("oneof filter is set already".to_owned()));
    }
    Ok(conditions.pop())
}

/// A number of 32 bits.
fn limit(query: &Message) -> Result<u32, Failure> {
    let too_large = |_| Failure::Malformed("invalid value for uint32 field limit".to_owned());
    u32::try_from(query.count("limit")?).map_err(too_large)
}

fn id(message: &'static str, field: &'static str, text: &str) -> Result<String, Failure> {
    if (1..=LONGEST_ID).contains(&text.chars().count()) {
        return Ok(text.to_owned());
    }
    let rule = "value length must be between 1 and 200 runes, inclusive";
    Err(Failure::InvalidField { message, field, rule })
}

const ADDITION: &str = "AddPersonalAccessTokenRequest";

const LONGEST_ID: usize = 200;

/// The product has no limit; each filter may be a question to the host.
pub(super) const MOST_FILTERS: usize = 64;

/// The instant that the product's own language takes for none.
const NO_INSTANT: DateTime<Utc> = match DateTime::from_timestamp(-62_135_596_800, 0) {
    Some(none) => none,
    None => DateTime::<Utc>::MIN_UTC,
};

pub(super) type IdFilter = (&'static str, fn(String) -> Condition);

pub(super) const IDS: [IdFilter; 3] = [
    ("tokenIdFilter", Condition::Token),
    ("userIdFilter", Condition::User),
    ("organizationIdFilter", Condition::Organization),
];

pub(super) type InstantFilter = (&'static str, fn(Relation, DateTime<Utc>) -> Condition);

pub(super) const INSTANTS: [InstantFilter; 2] =
    [("createdDateFilter", Condition::Created), ("expirationDateFilter", Condition::Expires)];

pub(super) const RELATIONS: [(&str, Relation); 5] = [
    ("EQUALS", Relation::Equals),
    ("AFTER", Relation::After),
    ("AFTER_OR_EQUALS", Relation::AfterOrEquals),
    ("BEFORE", Relation::Before),
    ("BEFORE_OR_EQUALS", Relation::BeforeOrEquals),
];

pub(super) const COLUMNS: [(&str, Column); 6] = [
    ("UNSPECIFIED", Column::Created),
    ("CREATED_DATE", Column::Created),
    ("ID", Column::Id),
    ("USER_ID", Column::User),
    ("ORGANIZATION_ID", Column::Organization),
    ("EXPIRATION_DATE", Column::Expires),
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const SETTINGS: Settings = Settings { default_limit: 100, max_limit: 1000 };

    fn message(body: Value) -> Message {
        Message::read(body.to_string().as_bytes()).unwrap()
    }

    fn told<T: std::fmt::Debug>(asked: Result<T, Failure>) -> String {
        asked.unwrap_err().message().into_owned()
    }

    #[test]
    fn v1_adds_without_an_expiry_and_v2_does_not() {
        let plain = || message(json!({"userId": "u"}));
        let none = Addition { user: "u".to_owned(), expires_at: None };
        assert_eq!(addition_v1(&plain()), Ok(none));
        assert_eq!(
            told(addition_v2(&plain())),
            "invalid AddPersonalAccessTokenRequest.ExpirationDate: value is required"
        );
        let whole = message(json!({"user_id": "u", "expiration_date": "2519-04-01T08:45:00Z"}));
        let at = DateTime::from_timestamp(17_332_562_700, 0);
        assert_eq!(addition_v1(&whole).unwrap().expires_at, at);
        assert_eq!(addition_v2(&whole).unwrap().expires_at, at);
        let zero = message(json!({"userId": "u", "expirationDate": "0001-01-01T00:00:00Z"}));
        assert_eq!(addition_v1(&zero).unwrap().expires_at, None);
        assert_eq!(addition_v2(&zero).unwrap().expires_at, Some(NO_INSTANT));
    }

    #[test]
    fn ids_have_1_to_200_characters_and_v1s_addition_asks_for_one() {
        let rule = "value length must be between 1 and 200 runes, inclusive";
        let long = "ü".repeat(200);
        let too_long = format!("{long}ü");
        let of = |user: &str, token: &str| message(json!({"userId": user, "tokenId": token}));
        assert!(removal(&of(&long, &long)).is_ok());
        let (remove, get) =
            ("RemovePersonalAccessTokenRequest", "GetPersonalAccessTokenByIDsRequest");
        for wrong in ["", &too_long] {
            assert_eq!(told(removal(&of(wrong, ""))), format!("invalid {remove}.UserId: {rule}"));
            assert_eq!(told(removal(&of("u", wrong))), format!("invalid {remove}.TokenId: {rule}"));
            assert_eq!(told(look_up(&of("u", wrong))), format!("invalid {get}.TokenId: {rule}"));
            let list = "ListPersonalAccessTokensRequest";
            assert_eq!(told(listing(&of(wrong, ""))), format!("invalid {list}.UserId: {rule}"));
            let add = "AddPersonalAccessTokenRequest";
            assert_eq!(told(addition_v2(&of(wrong, ""))), format!("invalid {add}.UserId: {rule}"));
        }
        assert_eq!(
            told(addition_v1(&of("", ""))),
            "invalid AddPersonalAccessTokenRequest.UserId: value length must be at least 1 runes"
        );
        assert!(addition_v1(&of(&too_long, "")).is_ok());
    }

    #[test]
    fn v1_lists_without_a_limit_unless_one_is_asked_for() {
        let listed = |body| listing(&message(body)).unwrap();
        let all = Listing { user: "u".to_owned(), offset: 0, limit: 0 };
        assert_eq!(listed(json!({"userId": "u"})), all);
        let query = json!({"offset": "2", "limit": 5000, "asc": true});
        let some = Listing { user: "u".to_owned(), offset: 2, limit: 5000 };
        assert_eq!(listed(json!({"userId": "u", "query": query})), some);
        let wrong =
            listing(&message(json!({"userId": "u", "query": {"limit": 4_294_967_296_u64}})));
        assert!(matches!(wrong, Err(Failure::Malformed(_))));
    }

    #[test]
    fn a_search_has_a_limit_and_an_order_even_if_none_is_asked_for() {
        let found = |body| search(&message(body), SETTINGS);
        let plain = Search {
            conditions: Vec::new(),
            column: Column::Created,
            ascending: false,
            offset: 0,
            limit: 100,
        };
        assert_eq!(found(json!({})).unwrap(), plain);
        let whole = found(json!({
            "pagination": {"offset": 3, "limit": 1000, "asc": true},
            "sorting_column": "PERSONAL_ACCESS_TOKEN_FIELD_NAME_EXPIRATION_DATE",
            "filters": [
                {"tokenIdFilter": {"id": "t"}},
                {"user_id_filter": {"id": "u"}},
                {"organizationIdFilter": {"id": "o"}},
                {"createdDateFilter": {"timestamp": "1970-01-01T00:00:00Z", "method": 1}},
                {"expirationDateFilter": {"method": "TIMESTAMP_FILTER_METHOD_BEFORE_OR_EQUALS"}},
            ],
        }));
        let epoch = DateTime::UNIX_EPOCH;
        let expected = Search {
            conditions: vec![
                Condition::Token("t".to_owned()),
                Condition::User("u".to_owned()),
                Condition::Organization("o".to_owned()),
                Condition::Created(Relation::After, epoch),
                Condition::Expires(Relation::BeforeOrEquals, epoch),
            ],
            column: Column::Expires,
            ascending: true,
            offset: 3,
            limit: 1000,
        };
        assert_eq!(whole.unwrap(), expected);
        assert_eq!(found(json!({"pagination": {"limit": 1001}})), Err(Failure::LimitExceeded));
    }

    #[test]
    fn a_search_has_64_filters_at_the_most() {
        let found = |count: usize| {
            let filters = vec![json!({"userIdFilter": {"id": "u"}}); count];
            search(&message(json!({"filters": filters})), SETTINGS)
        };
        assert_eq!(found(64).unwrap().conditions.len(), 64);
        assert_eq!(
            told(found(65)),
            "invalid ListPersonalAccessTokensRequest.Filters: \
             value must contain no more than 64 item(s)"
        );
    }

    #[test]
    fn a_filter_asks_exactly_one_thing() {
        let found = |filter: Value| search(&message(json!({"filters": [filter]})), SETTINGS);
        assert_eq!(found(json!({})), Err(Failure::EmptyFilter));
        assert_eq!(found(json!({"whatever": {}})), Err(Failure::EmptyFilter));
        let both = found(json!({"tokenIdFilter": {}, "userIdFilter": {}}));
        assert!(matches!(both, Err(Failure::Malformed(_))), "{both:?}");
        let long = found(json!({"tokenIdFilter": {"id": "x".repeat(201)}}));
        assert_eq!(long, Err(Failure::InvalidFilter { at: 0 }));
        for wrong in [json!(7), json!([]), json!({"tokenIdFilter": "t"})] {
            assert!(matches!(found(wrong), Err(Failure::Malformed(_))));
        }
    }
}
