//! A question to the server: a statement and its values, with their types.

use std::borrow::Cow;

use tokio_postgres::types::{ToSql, Type};

/// A statement with its values. It owns them, since it outlives a caller that goes away.
pub(super) struct Ask {
    sql: Cow<'static, str>,
    values: Vec<(Box<dyn ToSql + Send + Sync>, Type)>,
}

impl Ask {
    /// A statement that is asked again and again: it is prepared, where connections keep that.
    pub(super) const fn often(sql: &'static str) -> Self {
        Self { sql: Cow::Borrowed(sql), values: Vec::new() }
    }

    /// A statement that was put together for this question.
    pub(super) const fn once(sql: String) -> Self {
        Self { sql: Cow::Owned(sql), values: Vec::new() }
    }

    /// The same, with its next value.
    #[must_use]
    pub(super) fn with<T: Typed>(mut self, value: T) -> Self {
        self.values.push((Box::new(value), T::TYPE));
        self
    }

    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    /// The text to prepare, if it is to be.
    pub(super) const fn to_prepare(&self) -> Option<&'static str> {
        match self.sql {
            Cow::Borrowed(sql) => Some(sql),
            Cow::Owned(_) => None,
        }
    }

    pub(super) fn types(&self) -> Vec<Type> {
        self.values.iter().map(|(_, of)| of.clone()).collect()
    }

    pub(super) fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.values.iter().map(|(value, _)| &**value as &(dyn ToSql + Sync)).collect()
    }

    pub(super) fn typed(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        self.values().into_iter().zip(self.types()).collect()
    }
}

/// A value whose type the server need not be asked for.
pub(super) trait Typed: ToSql + Send + Sync + 'static {
    const TYPE: Type;
}

impl<T: Typed> Typed for Option<T> {
    const TYPE: Type = T::TYPE;
}

macro_rules! typed {
    ($($rust:ty: $sql:ident,)+) => {
        $(impl Typed for $rust {
            const TYPE: Type = Type::$sql;
        })+
    };
}

typed! {
    bool: BOOL,
    i64: INT8,
    String: TEXT,
    Vec<u8>: BYTEA,
    Vec<i64>: INT8_ARRAY,
    Vec<Option<i64>>: INT8_ARRAY,
    Vec<String>: TEXT_ARRAY,
    Vec<Option<String>>: TEXT_ARRAY,
    Vec<Vec<u8>>: BYTEA_ARRAY,
}
