//! How tokens are called on a wire that knows them by name only.

use std::collections::{HashMap, HashSet};

use crate::core::token::TokenRecord;

/// What the tokens of one owner are called among each other. No two are called the same, and what
/// one is called addresses it and no other one.
///
/// A token is called by its name if no other one has it or is called so; else by the name, a number
/// sign and the first characters of its id. Tokens without a name, which other faces make, are
/// called by the latter alone.
pub(super) struct Names<'r> {
    called: Vec<(&'r TokenRecord, String)>,
}

impl<'r> Names<'r> {
    pub(super) fn of(all: &'r [TokenRecord]) -> Self {
        let mut named: HashMap<&str, usize> = HashMap::new();
        let mut marked: HashMap<String, usize> = HashMap::new();
        for record in all {
            let count = named.entry(record.name.as_str()).or_default();
            *count = count.saturating_add(1);
            let count = marked.entry(with_id(record, SHOWN_OF_ID)).or_default();
            *count = count.saturating_add(1);
        }
        // What follows the last number sign is of an id: these are equal for no two tokens.
        let with_ids = all.iter().map(|record| {
            let short = with_id(record, SHOWN_OF_ID);
            let is_one = marked.get(&short) == Some(&1);
            if is_one { short } else { with_id(record, usize::MAX) }
        });
        let with_ids: Vec<_> = with_ids.collect();
        let taken: HashSet<&str> = with_ids.iter().map(String::as_str).collect();
        let is_alone =
            |name: &str| !name.is_empty() && named.get(name) == Some(&1) && !taken.contains(name);
        let called = all.iter().zip(&with_ids).map(|(record, with_id)| {
            let name = record.name.as_str();
            (record, if is_alone(name) { name } else { with_id }.to_owned())
        });
        Self { called: called.collect() }
    }

    /// Each token with what it is called.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'r TokenRecord, &str)> {
        self.called.iter().map(|(record, name)| (*record, name.as_str()))
    }

    /// The token that is called so; or the only one without a name, by no name, since the product
    /// lets tokens be made so.
    pub(super) fn find(&self, name: &str) -> Option<&'r TokenRecord> {
        if name.is_empty() {
            let mut unnamed = self.iter().filter(|(record, _)| record.name.as_str().is_empty());
            return unnamed.next().filter(|_| unnamed.next().is_none()).map(|(record, _)| record);
        }
        self.iter().find(|(_, called)| *called == name).map(|(record, _)| record)
    }
}

fn with_id(record: &TokenRecord, shown: usize) -> String {
    let id = record.id.text();
    let id = id.as_str();
    format!("{}#{}", record.name, id.get(..shown).unwrap_or(id))
}

/// 40 bits: two tokens of one owner and name hardly ever share them.
const SHOWN_OF_ID: usize = 8;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::core::id::{TokenId, TokenName};
    use crate::testing::sample;

    fn records(names: &[&str]) -> Vec<TokenRecord> {
        (1..)
            .zip(names)
            .map(|(number, name)| {
                let mut record = sample::record(&sample::owner(1), number);
                record.name = TokenName::new(*name).unwrap();
                record
            })
            .collect()
    }

    fn called(all: &[TokenRecord]) -> Vec<String> {
        Names::of(all).iter().map(|(_, name)| name.to_owned()).collect()
    }

    #[test]
    fn a_name_that_is_there_once_is_shown_as_it_is() {
        let all = records(&["backup", "deploy"]);
        assert_eq!(called(&all), ["backup", "deploy"]);
        let find = |name| Names::of(&all).find(name).map(|record| record.id);
        assert_eq!(find("deploy"), Some(all[1].id));
        assert_eq!(find("Deploy"), None);
    }

    #[test]
    fn names_that_are_missing_or_there_twice_are_told_apart_by_the_id() {
        let all = records(&["backup", "backup", ""]);
        let names = Names::of(&all);
        for (record, name) in names.iter() {
            let id = record.id.to_string();
            assert_eq!(name, format!("{}#{}", record.name, &id[..8]));
            assert_eq!(names.find(name).map(|record| record.id), Some(record.id));
        }
        assert!(names.find("backup").is_none());
        assert_eq!(names.find("").map(|record| record.id), Some(all[2].id));
    }

    #[test]
    fn a_name_that_looks_like_what_another_token_is_called_gives_way() {
        let mut all = records(&["x", "x", "", "", ""]);
        let names = called(&all);
        all[3].name = TokenName::new(names[0].as_str()).unwrap();
        all[4].name = TokenName::new(names[2].as_str()).unwrap();
        let now = called(&all);
        assert_eq!(now[..3], names[..3]);
        for at in [3, 4] {
            let id = all[at].id.to_string();
            assert_eq!(now[at], format!("{}#{}", all[at].name, &id[..8]));
        }
    }

    /// Few names and few ids, some of which begin alike, and names made of them.
    fn tokens() -> impl Strategy<Value = Vec<TokenRecord>> {
        let id = |n: u8| TokenId::from_bytes([n / 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n]);
        let text = move |n: u8| id(n).to_string();
        let part = prop_oneof![
            Just(String::new()),
            Just("x".to_owned()),
            Just("#".to_owned()),
            (0_u8..9).prop_map(move |n| format!("#{}", &text(n)[..8])),
            (0_u8..9).prop_map(move |n| format!("#{}", text(n))),
        ];
        let name = prop::collection::vec(part, 0..4).prop_map(|parts| parts.concat());
        prop::collection::vec(name, 0..9).prop_map(move |names| {
            (0_u8..)
                .zip(names)
                .map(|(n, name)| {
                    let mut record = sample::record(&sample::owner(1), u64::from(n));
                    record.id = id(n);
                    record.name = TokenName::new(name).unwrap();
                    record
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn what_tokens_are_called_is_unique_and_addresses_exactly_one(all in tokens()) {
            let names = Names::of(&all);
            let mut seen = BTreeSet::new();
            for (record, name) in names.iter() {
                prop_assert!(seen.insert(name.to_owned()), "{name} twice");
                prop_assert!(!name.is_empty());
                prop_assert_eq!(names.find(name).map(|found| found.id), Some(record.id));
                prop_assert!(name.starts_with(record.name.as_str()));
            }
            prop_assert_eq!(seen.len(), all.len());
        }
    }
}
