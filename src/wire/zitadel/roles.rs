//! What an account may do about tokens, by the product's own names of roles. Pure.

use crate::ports::directory::{Account, AccountKind};

/// How far a permission goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nowhere.
    Nowhere,
    /// Over the account's own organization.
    Organization,
    /// Over all of them.
    Everything,
}

/// How far the account's `user.write` goes: the right to add and remove tokens.
pub(super) fn writing(account: &Account) -> Reach {
    reach(account, &[WRITERS])
}

/// How far the account's `user.read` goes: the right to see tokens.
pub(super) fn reading(account: &Account) -> Reach {
    reach(account, &[WRITERS, READERS])
}

impl Reach {
    /// Whether somebody with this reach gets to accounts of this organization.
    pub(super) fn covers(self, caller: &Account, organization: Option<&str>) -> bool {
        match self {
            Self::Nowhere => false,
            Self::Organization => {
                organization.is_some() && caller.organization.as_deref() == organization
            }
            Self::Everything => true,
        }
    }
}

/// Whether the caller may be given a secret of this account, which it then is: nobody comes by a
/// role over all organizations this way.
pub(super) fn may_act_as(caller: &Account, target: &Account) -> bool {
    let is_everywhere = |role: &String| role.starts_with(EVERYWHERE);
    !target.roles.iter().any(is_everywhere) || writing(caller) == Reach::Everything
}

/// Only service accounts have tokens in the product.
pub(super) fn may_have_tokens(account: &Account) -> bool {
    account.kind == AccountKind::Machine
}

fn reach(account: &Account, roles: &[&[&str]]) -> Reach {
    let is_one = |role: &&String| roles.iter().any(|roles| roles.contains(&role.as_str()));
    let held = || account.roles.iter().filter(is_one);
    if held().any(|role| role.starts_with(EVERYWHERE)) {
        Reach::Everything
    } else if held().next().is_some() {
        Reach::Organization
    } else {
        Reach::Nowhere
    }
}

/// What roles begin with that are not bound to an organization.
const EVERYWHERE: &str = "IAM_";

const WRITERS: &[&str] =
    &["IAM_OWNER", "IAM_ORG_MANAGER", "IAM_USER_MANAGER", "ORG_OWNER", "ORG_USER_MANAGER"];

const READERS: &[&str] = &[
    "IAM_OWNER_VIEWER",
    "ORG_OWNER_VIEWER",
    "ORG_USER_PERMISSION_EDITOR",
    "ORG_PROJECT_PERMISSION_EDITOR",
    "PROJECT_OWNER",
    "PROJECT_OWNER_VIEWER",
    "PROJECT_GRANT_OWNER",
    "PROJECT_GRANT_OWNER_VIEWER",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::OwnerId;
    use chrono::DateTime;

    fn account(roles: &[&str]) -> Account {
        let id = OwnerId::new("somebody").unwrap();
        let mut account = Account::new(id, 1, "somebody", DateTime::UNIX_EPOCH);
        account.roles = roles.iter().map(|role| (*role).to_owned()).collect();
        account.organization = Some("home".to_owned());
        account
    }

    #[test]
    fn each_role_reaches_as_far_as_the_product_lets_it() {
        for role in WRITERS.iter().chain(READERS) {
            let somebody = account(&["ORG_USER_SELF_MANAGER", role]);
            let far =
                if role.starts_with("IAM_") { Reach::Everything } else { Reach::Organization };
            assert_eq!(reading(&somebody), far, "{role}");
            let may_write = WRITERS.contains(role);
            assert_eq!(writing(&somebody), if may_write { far } else { Reach::Nowhere }, "{role}");
        }
        for role in ["", "iam_owner", "IAM_", "ORG_USER_SELF_MANAGER", "system_admin"] {
            assert_eq!(reading(&account(&[role])), Reach::Nowhere, "{role}");
        }
        // The farthest role counts.
        assert_eq!(reading(&account(&["ORG_OWNER", "IAM_OWNER_VIEWER"])), Reach::Everything);
        assert_eq!(writing(&account(&["ORG_OWNER", "IAM_OWNER_VIEWER"])), Reach::Organization);
    }

    #[test]
    fn an_organization_is_covered_by_those_in_it_and_those_above_it() {
        let mut somebody = account(&[]);
        for (reach, home, away, none) in [
            (Reach::Nowhere, false, false, false),
            (Reach::Organization, true, false, false),
            (Reach::Everything, true, true, true),
        ] {
            assert_eq!(reach.covers(&somebody, Some("home")), home, "{reach:?}");
            assert_eq!(reach.covers(&somebody, Some("away")), away, "{reach:?}");
            assert_eq!(reach.covers(&somebody, None), none, "{reach:?}");
        }
        somebody.organization = None;
        assert!(!Reach::Organization.covers(&somebody, None));
    }

    #[test]
    fn nobody_gets_a_secret_that_reaches_farther_than_he_does() {
        let (owner, local) = (account(&["IAM_OWNER"]), account(&["ORG_OWNER"]));
        let viewer = account(&["IAM_OWNER_VIEWER"]);
        assert!(may_act_as(&owner, &owner) && may_act_as(&local, &local));
        assert!(may_act_as(&owner, &viewer) && may_act_as(&local, &account(&[])));
        assert!(!may_act_as(&local, &owner) && !may_act_as(&local, &viewer));
    }
}
