//! Who may be given whose secrets, whichever product asks.

use crate::ports::directory::{Account, Directory, DirectoryError};

/// Whether an account may act as another one as far as the directory says: itself it may, and
/// whoever is no administrator; an administrator is acted for by administrators only.
///
/// A product's roles are told by its face, which asks this beside them.
pub(super) async fn may_act_as(
    directory: &dyn Directory,
    caller: &Account,
    target: &Account,
) -> Result<bool, DirectoryError> {
    Ok(caller.id == target.id
        || !directory.is_administrator(target).await?
        || directory.is_administrator(caller).await?)
}
