//! Lists: which page of them, and how the others are named. Pure.

use http::Uri;
use serde::Serialize;

use super::failure::Failure;

/// A query's pairs, decoded.
pub(super) type Pairs = [(String, String)];

/// Which rows of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paging {
    page: Page,
    size: u64,
    is_capped: bool,
    counts: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Number(u64),
    Last,
}

/// The rows of a page, by their place among all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) number: u64,
    pub(super) offset: u64,
    pub(super) limit: u64,
    /// How many pages there are; the first one is there even when it is empty.
    pages: u64,
}

impl Paging {
    pub(super) fn of(query: &Pairs) -> Result<Self, Failure> {
        let last = |key: &str| {
            query.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
        };
        let page = match last("page") {
            None => Page::Number(1),
            Some("last") => Page::Last,
            Some(text) => match text.trim().parse() {
                Ok(number) if number > 0 => Page::Number(number),
                _ => return Err(Failure::InvalidPage),
            },
        };
        let asked = last("page_size").and_then(|text| text.trim().parse::<u64>().ok());
        let size = asked.filter(|size| *size > 0).unwrap_or(DEFAULT_SIZE);
        Ok(Self {
            page,
            size: size.min(LARGEST_SIZE),
            is_capped: size > LARGEST_SIZE,
            counts: last("count_disabled").is_none(),
        })
    }

    /// The place of the page among so many rows.
    pub(super) fn place(&self, total: u64) -> Result<Place, Failure> {
        let pages = total.div_ceil(self.size).max(1);
        let number = match self.page {
            Page::Number(number) => number,
            Page::Last => pages,
        };
        if number > pages {
            return Err(Failure::InvalidPage);
        }
        let offset = number.saturating_sub(1).saturating_mul(self.size);
        Ok(Place { number, offset, limit: self.size, pages })
    }

    /// The answer that holds these rows.
    pub(super) fn envelope<T: Serialize>(
        &self,
        (uri, query): (&Uri, &Pairs),
        place: Place,
        (total, results): (u64, Vec<T>),
    ) -> Envelope<T> {
        if !self.counts {
            return Envelope { counted: None, results };
        }
        let link = |number: u64| {
            let mut pairs: Vec<(&str, String)> =
                query.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
            set(&mut pairs, "page", number);
            if self.is_capped {
                set(&mut pairs, "page_size", LARGEST_SIZE);
            }
            // In the order of the keys, as the product writes them.
            pairs.sort_by_key(|(key, _)| *key);
            let pairs: Vec<String> = pairs
                .iter()
                .map(|(key, value)| format!("{}={}", encoded(key), encoded(value)))
                .collect();
            format!("{}?{}", uri.path(), pairs.join("&"))
        };
        let next = (place.number < place.pages).then(|| link(place.number.saturating_add(1)));
        let previous = (place.number > 1).then(|| link(place.number.saturating_sub(1)));
        Envelope { counted: Some(Counted { count: total, next, previous }), results }
    }
}

fn set(pairs: &mut Vec<(&str, String)>, key: &'static str, value: u64) {
    pairs.retain(|(name, _)| *name != key);
    pairs.push((key, value.to_string()));
}

fn encoded(text: &str) -> String {
    let mut written = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => {
                written.push(char::from(byte));
            }
            b' ' => written.push('+'),
            _ => written.push_str(&format!("%{byte:02X}")),
        }
    }
    written
}

/// A page of a list.
#[derive(Debug, Serialize)]
pub(super) struct Envelope<T> {
    #[serde(flatten)]
    counted: Option<Counted>,
    results: Vec<T>,
}

#[derive(Debug, Serialize)]
struct Counted {
    count: u64,
    next: Option<String>,
    previous: Option<String>,
}

/// What the product shows to clients that do not say.
pub(super) const DEFAULT_SIZE: u64 = 25;

/// The product's largest page.
pub(super) const LARGEST_SIZE: u64 = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use axum::extract::Query;
    use serde_json::{Value, json};

    fn told(uri: &'static str, total: u64) -> Result<Value, Failure> {
        let uri = Uri::from_static(uri);
        let Query(query) = Query::<Vec<(String, String)>>::try_from_uri(&uri).unwrap();
        let paging = Paging::of(&query)?;
        let place = paging.place(total)?;
        let rows: Vec<u64> = (place.offset..total).take(place.limit.try_into().unwrap()).collect();
        Ok(serde_json::to_value(paging.envelope((&uri, &query), place, (total, rows))).unwrap())
    }

    #[test]
    fn pages_link_to_their_neighbours_by_relative_paths() {
        let first = json!({
            "count": 3, "next": "/t/?page=2&page_size=1", "previous": null, "results": [0],
        });
        assert_eq!(told("/t/?page_size=1", 3), Ok(first));
        let second = json!({
            "count": 3, "next": "/t/?page=3&page_size=1", "previous": "/t/?page=1&page_size=1",
            "results": [1],
        });
        assert_eq!(told("/t/?page=2&page_size=1", 3), Ok(second));
        let last = told("/t/?page_size=1&page=last", 3).unwrap();
        assert_eq!((&last["next"], &last["results"]), (&json!(null), &json!([2])));
        let empty = json!({"count": 0, "next": null, "previous": null, "results": []});
        assert_eq!(told("/t/", 0), Ok(empty));
    }

    #[test]
    fn links_keep_the_query_in_the_order_of_its_keys() {
        let told = told("/t/?search=a%20b%26c&order_by=-id&page_size=1", 2).unwrap();
        assert_eq!(told["next"], "/t/?order_by=-id&page=2&page_size=1&search=a+b%26c");
    }

    #[test]
    fn larger_pages_are_cut_and_the_links_say_so() {
        let told = told("/t/?page_size=1000", 201).unwrap();
        assert_eq!(told["results"].as_array().unwrap().len(), 200);
        assert_eq!(told["next"], "/t/?page=2&page_size=200");
    }

    #[test]
    fn a_size_that_is_none_is_the_default() {
        for uri in ["/t/", "/t/?page_size=0", "/t/?page_size=-1", "/t/?page_size=a"] {
            assert_eq!(told(uri, 30).unwrap()["results"].as_array().unwrap().len(), 25, "{uri}");
        }
    }

    #[test]
    fn there_is_no_page_but_those_that_there_are() {
        for uri in ["/t/?page=2", "/t/?page=0", "/t/?page=-1", "/t/?page=a", "/t/?page="] {
            assert_eq!(told(uri, 3), Err(Failure::InvalidPage), "{uri}");
        }
        assert_eq!(told("/t/?page=18446744073709551616", 3), Err(Failure::InvalidPage));
    }

    #[test]
    fn who_does_not_count_is_told_nothing_but_the_rows() {
        assert_eq!(told("/t/?count_disabled=1", 1), Ok(json!({"results": [0]})));
    }
}
