//! Which tokens the products' wires show.

use crate::core::id::Kind;
#[cfg(any(feature = "awx", feature = "mattermost", feature = "zitadel"))]
use crate::core::token::TokenRecord;
use crate::ports::store::Filter;

/// Those of a filter that are shown. Sessions are tokens too, and none of these wires'; the products
/// delete what they revoke.
pub(super) fn shown(filter: Filter) -> Filter {
    filter.of_kind(Kind::personal()).unrevoked()
}

/// Whether a token would be in a list of those that are shown.
#[cfg(any(feature = "awx", feature = "mattermost", feature = "zitadel"))]
pub(super) fn is_shown(record: &TokenRecord) -> bool {
    shown(Filter::default()).selects(record)
}
