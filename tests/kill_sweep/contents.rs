//! All that a database holds.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;

/// Every row of every table, the schema's own included, in the order of their keys. All but the
/// nodes: that a process is there is written down before it does anything, and says nothing of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contents(BTreeMap<String, Vec<String>>);

impl Contents {
    /// What a sound file holds; an error for one that is damaged.
    pub(crate) fn read(file: &Path) -> Result<Self, String> {
        Self::ask(file).map_err(|error| format!("cannot be read: {error}"))?
    }

    fn ask(file: &Path) -> rusqlite::Result<Result<Self, String>> {
        let connection = Connection::open(file)?;
        let verdict: String =
            connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        if verdict != "ok" {
            return Ok(Err(format!("integrity_check says {verdict}")));
        }
        let mut tables = vec!["sqlite_schema".to_owned()];
        let mut names = connection
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'nodes'")?;
        for name in names.query_map([], |row| row.get(0))? {
            tables.push(name?);
        }
        let rows = tables.into_iter().map(|table| Ok((table.clone(), rows(&connection, &table)?)));
        Ok(Ok(Self(rows.collect::<rusqlite::Result<_>>()?)))
    }

    /// The tables in which the two differ.
    pub(crate) fn differing<'a>(&'a self, other: &'a Self) -> Vec<&'a str> {
        let mut names: Vec<_> = self.0.keys().chain(other.0.keys()).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|name| self.0.get(*name) != other.0.get(*name));
        names
    }
}

fn rows(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2"))?;
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let values = (0..columns).map(|column| row.get_ref(column).map(|it| format!("{it:?}")));
        Ok(values.collect::<rusqlite::Result<Vec<_>>>()?.join(", "))
    })?;
    rows.collect()
}
