//! The product's two words for what a token may do, and what they are in the host's vocabulary.
//! Pure.

use super::Needs;
use crate::core::id::ScopeName;
use crate::core::scope::{Grant, Scope};

/// What a request asks for, and what is shown of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Read,
    Write,
    /// It is no more than the second of the two.
    Both,
}

impl Asked {
    /// Reads words, each at most once, in either order.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words[..] {
            ["read"] => Some(Self::Read),
            ["write"] => Some(Self::Write),
            ["read", "write"] | ["write", "read"] => Some(Self::Both),
            _ => None,
        }
    }

    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Both => "read write",
        }
    }

    /// The grant that it means. To write is to read too.
    pub(super) fn grant<S: Scope>(self, needs: &Needs<S>) -> Grant<S> {
        let Needs { reading, managing } = needs;
        let is_enough = managing.permits(reading);
        let scopes = match self {
            Self::Read => vec![reading.clone()],
            Self::Write if is_enough => vec![managing.clone()],
            Self::Write | Self::Both => vec![reading.clone(), managing.clone()],
        };
        // There is one in each; without any there would be nothing to grant.
        Grant::only(scopes).unwrap_or(Grant::Full)
    }

    /// What there is to say of a grant; `None` for one that may do nothing on this wire. Tokens of
    /// products without scopes may write.
    pub(super) fn of<S: Scope>(grant: &Grant<ScopeName>, needs: &Needs<S>) -> Option<Self> {
        let names = |scope: &S| match grant {
            Grant::Full => false,
            Grant::Only(names) => names.iter().any(|name| *name == scope.name()),
        };
        let held = grant.read::<S>()?;
        match (held.holds(&needs.reading), held.holds(&needs.managing)) {
            (_, true) if names(&needs.reading) && names(&needs.managing) => Some(Self::Both),
            (_, true) => Some(Self::Write),
            (true, false) => Some(Self::Read),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::scope::{ChatAction, ChatPlace, ChatScope, ReadWrite};

    const NEEDS: Needs<ReadWrite> = Needs { reading: ReadWrite::Read, managing: ReadWrite::Write };

    #[test]
    fn what_is_asked_for_is_what_is_shown() {
        for asked in [Asked::Read, Asked::Write, Asked::Both] {
            let grant = asked.grant(&NEEDS);
            assert_eq!(Asked::of(&grant.names(), &NEEDS), Some(asked));
            assert_eq!(Asked::parse(asked.text()), Some(asked));
            assert!(grant.holds(&ReadWrite::Read));
            assert_eq!(grant.holds(&ReadWrite::Write), asked != Asked::Read);
        }
        assert_eq!(Asked::of(&Grant::Full, &NEEDS), Some(Asked::Write));
    }

    #[test]
    fn to_write_is_to_read_in_a_vocabulary_that_says_otherwise_too() {
        let of = |action| ChatScope { action, place: ChatPlace::Everywhere };
        let needs = Needs { reading: of(ChatAction::Read), managing: of(ChatAction::Post) };
        let grant = Asked::Write.grant(&needs);
        assert!(grant.holds(&needs.reading) && grant.holds(&needs.managing));
    }

    #[test]
    fn of_a_grant_that_may_nothing_here_nothing_is_said() {
        let other = Grant::only([ScopeName::new("other").unwrap()]).unwrap();
        assert_eq!(Asked::of(&other, &NEEDS), None);
    }
}
