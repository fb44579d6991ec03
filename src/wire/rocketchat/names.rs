//! How tokens are called on a wire that knows them by name only.

use crate::core::token::TokenRecord;

/// What a token shows and is addressed by among its owner's others: its name if no other one has
/// it, else the name, a number sign and the first characters of its id. Tokens without a name,
/// which other faces make, show the latter alone.
pub(super) fn shown(record: &TokenRecord, all: &[TokenRecord]) -> String {
    let name = record.name.as_str();
    let same = all.iter().filter(|other| other.name == record.name).count();
    if same <= 1 && !name.is_empty() {
        return name.to_owned();
    }
    let id = record.id.text();
    format!("{name}#{}", id.as_str().get(..SHOWN_OF_ID).unwrap_or_default())
}

/// The token of this name: as it is shown, or by the name alone if that is one token's only.
pub(super) fn find<'r>(name: &str, all: &'r [TokenRecord]) -> Option<&'r TokenRecord> {
    if let Some(found) = all.iter().find(|record| shown(record, all) == name) {
        return Some(found);
    }
    let mut named = all.iter().filter(|record| record.name.as_str() == name);
    named.next().filter(|_| named.next().is_none())
}

/// 40 bits: two tokens of one owner and name hardly ever share them.
const SHOWN_OF_ID: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::TokenName;
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

    #[test]
    fn a_name_that_is_there_once_is_shown_as_it_is() {
        let all = records(&["backup", "deploy"]);
        assert_eq!(shown(&all[0], &all), "backup");
        assert_eq!(find("deploy", &all).map(|record| record.id), Some(all[1].id));
        assert_eq!(find("Deploy", &all).map(|record| record.id), None);
    }

    #[test]
    fn names_that_are_missing_or_there_twice_are_told_apart_by_the_id() {
        let all = records(&["backup", "backup", ""]);
        for record in &all {
            let name = shown(record, &all);
            let id = record.id.to_string();
            assert_eq!(name, format!("{}#{}", record.name, &id[..8]));
            assert_eq!(find(&name, &all).map(|record| record.id), Some(record.id));
        }
        assert!(find("backup", &all).is_none());
        assert_eq!(find("", &all).map(|record| record.id), Some(all[2].id));
    }
}
