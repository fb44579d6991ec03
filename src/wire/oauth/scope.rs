//! What a token may do now, in one text. Pure.

use std::collections::BTreeSet;

use crate::core::id::ScopeName;
use crate::core::scope::{Grant, Scope};

/// The names of what a token was granted and its owner may do now; `None` where neither is limited.
///
/// A name is told if both sides hold it, whichever of them says it. What no name says is not told:
/// the text never says too much.
pub(super) fn effective<S: Scope>(
    grant: &Grant<ScopeName>,
    rights: &Grant<ScopeName>,
) -> Option<String> {
    let both = match (grant.read::<S>(), rights.read::<S>()) {
        (Some(Grant::Full), Some(Grant::Full)) => return None,
        (Some(grant), Some(rights)) => held(&grant, &rights).chain(held(&rights, &grant)).collect(),
        // Names that nobody knows any more grant nothing.
        _ => BTreeSet::new(),
    };
    let names: Vec<&str> = both.iter().map(ScopeName::as_str).collect();
    Some(names.join(" "))
}

/// The names in one grant that another one holds as well.
fn held<S: Scope>(names: &Grant<S>, other: &Grant<S>) -> impl Iterator<Item = ScopeName> {
    let scopes = match names {
        Grant::Full => None,
        Grant::Only(scopes) => Some(scopes),
    };
    let scopes = scopes.into_iter().flat_map(|scopes| scopes.iter());
    scopes.filter(|scope| other.holds(scope)).map(Scope::name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::scope::ReadWrite;

    fn only(names: &[&str]) -> Grant<ScopeName> {
        Grant::only(names.iter().map(|name| ScopeName::new(*name).unwrap())).unwrap()
    }

    #[test]
    fn what_is_told_is_what_the_grant_and_the_rights_both_hold() {
        let (full, read, write) = (Grant::Full, only(&["read"]), only(&["write"]));
        let (both, strange) = (only(&["read", "write"]), only(&["strange"]));
        for (grant, rights, told) in [
            (&full, &full, None),
            (&read, &full, Some("read")),
            (&write, &full, Some("write")),
            (&full, &read, Some("read")),
            (&write, &read, Some("read")),
            (&read, &write, Some("read")),
            (&both, &read, Some("read")),
            (&both, &write, Some("read write")),
            (&only(&["read", "strange"]), &full, Some("read")),
            (&strange, &full, Some("")),
            (&full, &strange, Some("")),
            (&strange, &strange, Some("")),
        ] {
            let effective = effective::<ReadWrite>(grant, rights);
            assert_eq!(effective.as_deref(), told, "{grant:?} and {rights:?}");
        }
    }
}
