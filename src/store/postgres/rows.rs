//! The server's rows, read one column after the other.

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use super::trouble::Trouble;
use crate::store::columns::{self, OF_ANOTHER_TYPE};

/// A row and how far it has been read.
pub(super) struct Fields<'r> {
    row: &'r Row,
    next: usize,
}

impl<'r> Fields<'r> {
    pub(super) const fn of(row: &'r Row) -> Self {
        Self::after(row, 0)
    }

    /// The row without its first columns.
    pub(super) const fn after(row: &'r Row, skipped: usize) -> Self {
        Self { row, next: skipped }
    }

    /// Whether the next column is null, without reading on.
    pub(super) fn next_is_null(&self) -> Result<bool, Trouble> {
        Ok(self.row.try_get::<_, Option<i64>>(self.next).map_err(unreadable)?.is_none())
    }

    pub(super) fn value<T: FromSql<'r>>(&mut self) -> Result<T, Trouble> {
        let value = self.row.try_get(self.next).map_err(unreadable)?;
        self.next = self.next.saturating_add(1);
        Ok(value)
    }
}

impl<'r> columns::Row<'r> for Fields<'r> {
    type Error = Trouble;

    fn integer(&mut self) -> Result<Option<i64>, Trouble> {
        self.value()
    }

    fn text(&mut self) -> Result<Option<&'r str>, Trouble> {
        self.value()
    }

    fn bytes(&mut self) -> Result<Option<&'r [u8]>, Trouble> {
        self.value()
    }
}

/// A column is missing, or of another type: somebody changed the schema.
fn unreadable(_: tokio_postgres::Error) -> Trouble {
    OF_ANOTHER_TYPE.into()
}
