//! Rows as SQLite keeps them, and what its statements can fail with.

use rusqlite::ToSql;
use rusqlite::types::{FromSqlError, ToSqlOutput, ValueRef};

use crate::ports::store::StoreError;
use crate::store::columns::{self, Damaged, OF_ANOTHER_TYPE, Value};

/// What a statement of this store can fail with, inside the store.
#[derive(Debug)]
pub(super) enum Trouble {
    Sqlite(rusqlite::Error),
    /// A column holds what was never written there.
    Corrupt(&'static str),
    InvalidCursor,
    /// A fault in this crate: nothing of the change was kept.
    Panicked,
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Damaged> for Trouble {
    fn from(damaged: Damaged) -> Self {
        Self::Corrupt(damaged.0)
    }
}

impl From<FromSqlError> for Trouble {
    fn from(_: FromSqlError) -> Self {
        OF_ANOTHER_TYPE.into()
    }
}

impl Trouble {
    /// The same, as the caller hears it.
    pub(super) fn told(&self) -> StoreError {
        match self {
            Self::Sqlite(error) => match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                    StoreError::Corrupt(error.to_string())
                }
                _ => StoreError::unavailable(error.to_string()),
            },
            Self::Corrupt(column) => StoreError::Corrupt(format!("column {column}")),
            Self::InvalidCursor => StoreError::InvalidCursor,
            Self::Panicked => StoreError::unavailable("the change panicked"),
        }
    }
}

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> Self {
        trouble.told()
    }
}

/// A row and how far it has been read. By position: SQLite would look a name up among all columns.
pub(super) struct Fields<'r> {
    row: &'r rusqlite::Row<'r>,
    next: usize,
}

impl<'r> Fields<'r> {
    pub(super) const fn of(row: &'r rusqlite::Row<'r>) -> Self {
        Self { row, next: 0 }
    }

    fn value(&mut self) -> Result<ValueRef<'r>, Trouble> {
        let value = self.row.get_ref(self.next)?;
        self.next = self.next.saturating_add(1);
        Ok(value)
    }
}

impl<'r> columns::Row<'r> for Fields<'r> {
    type Error = Trouble;

    fn integer(&mut self) -> Result<Option<i64>, Trouble> {
        Ok(self.value()?.as_i64_or_null()?)
    }

    fn text(&mut self) -> Result<Option<&'r str>, Trouble> {
        Ok(self.value()?.as_str_or_null()?)
    }

    fn bytes(&mut self) -> Result<Option<&'r [u8]>, Trouble> {
        Ok(self.value()?.as_blob_or_null()?)
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}
