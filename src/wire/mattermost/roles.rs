//! What an account may do about tokens, by the product's own names of roles. Pure.

use crate::core::id::OwnerId;
use crate::ports::directory::{Account, AccountKind};

/// Whether tokens may be created, read and revoked at all: the product has a permission for each,
/// and no role that holds fewer than all three.
pub(super) fn may_use_tokens(account: &Account) -> bool {
    is_administrator(account) || account.has_role("system_user_access_token")
}

/// The product's `manage_system`.
pub(super) fn is_administrator(account: &Account) -> bool {
    account.has_role("system_admin")
}

/// Whether the tokens of an account are within the caller's reach; an id without an account is
/// taken for a person's.
pub(super) fn reaches(caller: &Account, owner: &OwnerId, target: Option<&Account>) -> bool {
    if is_administrator(caller) {
        return true;
    }
    match target {
        // A bot is managed as a bot, even by itself: what lets somebody edit people does not do.
        Some(bot) if is_bot(bot) && bot.bot_owner.as_ref() == Some(&caller.id) => {
            caller.has_role("manage_bots")
        }
        Some(bot) if is_bot(bot) => caller.has_role("manage_others_bots"),
        _ if *owner == caller.id => true,
        Some(person) if is_administrator(person) => false,
        _ => caller.has_role("system_user_manager"),
    }
}

/// Whether the caller may be shown a secret of this account, which it then is, as far as these roles
/// say: nobody becomes an administrator this way.
pub(super) fn may_act_as(caller: &Account, target: &Account) -> bool {
    is_administrator(caller) || !is_administrator(target)
}

pub(super) fn is_bot(account: &Account) -> bool {
    account.kind == AccountKind::Bot
}

/// Whether the account is another server's, and only mirrored here.
pub(super) fn is_remote(account: &Account) -> bool {
    account.has_role(super::REMOTE_ROLE)
}
