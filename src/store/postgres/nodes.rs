//! Who remembers what it read of one realm.

use super::ask::Ask;
use super::line::Line;
use super::rows::Fields;
use super::trouble::Trouble;
use crate::core::id::RealmId;
use crate::ports::store::{NodeId, NodeReport};
use crate::store::columns::{self, signed};

/// The report's own time is not looked at: the server's clock is everybody's.
pub(super) async fn report(
    line: &Line,
    realm: &RealmId,
    report: &NodeReport,
) -> Result<(), Trouble> {
    let ask = Ask::often(
        "WITH forgotten AS (
             DELETE FROM keyfob.nodes WHERE realm = $1 AND node <> $2 AND at < keyfob.now_micros() - $5
         )
         INSERT INTO keyfob.nodes SELECT $1, $2, $3, $4, keyfob.now_micros() FROM keyfob.durably()
         ON CONFLICT (realm, node) DO UPDATE
             SET applied = excluded.applied, bound = excluded.bound, at = excluded.at",
    )
    .with(String::from(realm.as_str()))
    .with(report.node.0.to_vec())
    .with(signed(report.applied.0)?)
    .with(i64::try_from(report.bound.as_micros()).unwrap_or(i64::MAX))
    .with(NodeReport::KEPT_FOR.num_microseconds().unwrap_or(i64::MAX));
    line.change(&ask).await.map(drop)
}

pub(super) async fn list(line: &Line, realm: &RealmId) -> Result<Vec<NodeReport>, Trouble> {
    let ask = Ask::often("SELECT node, applied, bound, at FROM keyfob.nodes WHERE realm = $1");
    let rows = line.read(&ask.with(String::from(realm.as_str()))).await?;
    rows.iter().map(|row| columns::node(&mut Fields::of(row))).collect()
}

pub(super) async fn forget(line: &Line, realm: &RealmId, node: NodeId) -> Result<(), Trouble> {
    let ask = Ask::often("DELETE FROM keyfob.nodes WHERE realm = $1 AND node = $2");
    let ask = ask.with(String::from(realm.as_str())).with(node.0.to_vec());
    line.change(&ask).await.map(drop)
}
