//! What a token may do now, in one text. Pure.

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
    // Names that nobody knows any more grant nothing.
    let (grant, rights) = (grant.read::<S>(), rights.read::<S>());
    let both = grant.zip(rights).and_then(|(grant, rights)| grant.meet(&rights));
    match both.map(|both| both.names()) {
        Some(Grant::Full) => None,
        Some(Grant::Only(names)) => {
            Some(names.iter().map(ScopeName::as_str).collect::<Vec<_>>().join(" "))
        }
        None => Some(String::new()),
    }
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
