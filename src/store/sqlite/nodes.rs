//! Who remembers what it read of one realm.

use rusqlite::{Connection, params};

use super::rows::{Fields, Trouble};
use super::write::Writing;
use crate::core::id::RealmId;
use crate::core::verify::micros;
use crate::ports::store::{NodeId, NodeReport};
use crate::store::columns::{self, signed};

impl Writing<'_> {
    pub(super) fn report_node(&self, report: &NodeReport) -> Result<(), Trouble> {
        let realm = self.realm.as_str();
        let kept_since = report.at.checked_sub_signed(NodeReport::KEPT_FOR);
        self.connection
            .prepare_cached("DELETE FROM nodes WHERE realm = ?1 AND at < ?2")?
            .execute(params![realm, kept_since.map_or(i64::MIN, micros)])?;
        let bound = i64::try_from(report.bound.as_micros()).unwrap_or(i64::MAX);
        let applied = signed(report.applied.0)?;
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO nodes VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![realm, report.node.0, applied, bound, micros(report.at)])?;
        Ok(())
    }

    pub(super) fn forget_node(&self, node: NodeId) -> Result<(), Trouble> {
        self.connection
            .prepare_cached("DELETE FROM nodes WHERE realm = ?1 AND node = ?2")?
            .execute(params![self.realm.as_str(), node.0])?;
        Ok(())
    }
}

pub(super) fn nodes(connection: &Connection, realm: &RealmId) -> Result<Vec<NodeReport>, Trouble> {
    connection
        .prepare_cached("SELECT node, applied, bound, at FROM nodes WHERE realm = ?1")?
        .query_and_then([realm.as_str()], |row| columns::node(&mut Fields::of(row)))?
        .collect()
}
