//! Changes, each one call of a function of the schema.

use std::num::NonZeroU32;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use tokio_postgres::Row;

use super::ask::Ask;
use super::line::Line;
use super::list::selecting;
use super::rows::Fields;
use super::trouble::Trouble;
use crate::core::change::{Change, Presenter};
use crate::core::event::Event;
use crate::core::id::{OwnerId, RealmId, TokenId};
use crate::core::token::Ended;
use crate::core::verify::micros;
use crate::ports::store::{
    Applied, Epoch, Insert, Inserted, MassRevocation, OwnerChange, OwnerChanged, OwnerSet, Revoked,
    Use,
};
use crate::store::columns::{
    self, COLUMNS, Damaged, Named, Row as _, Value, fixed, given, given_bytes, signed,
    standing_number, written,
};

pub(super) async fn insert(
    line: &Line,
    realm: &RealmId,
    insert: Insert,
) -> Result<Inserted, Trouble> {
    let mut record = insert.record;
    let ask = Ask::often(
        "SELECT outcome, issued, number, sequence, epoch
         FROM keyfob.insert_token($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .with(String::from(realm.as_str()))
    .with(object(columns::of_token(&record)?))
    .with(insert.quota.map(i64::from))
    .with(insert.unique_name);
    let ask = presented_by(ask, insert.presenter)
        .with(insert.idempotency_key.as_ref().map(|key| String::from(key.as_str())));
    let rows = line.change(&with_event(ask, &insert.event)?).await?;
    let mut fields = Fields::of(only(&rows)?);
    Ok(match fields.text()? {
        Some("already_issued") => {
            Inserted::AlreadyIssued(TokenId::from_bytes(given_bytes(fields.bytes()?, "id")?))
        }
        Some("duplicate") => Inserted::Duplicate,
        Some("name_taken") => Inserted::NameTaken,
        Some("owner_not_active") => Inserted::OwnerNotActive,
        Some("presenter_changed") => Inserted::PresenterChanged,
        Some("quota_reached") => Inserted::QuotaReached,
        Some("stored") => {
            fields.bytes()?;
            record.number = given(fields.integer()?, "number")?;
            record.changed_sequence = given(fields.integer()?, "changed_sequence")?;
            record.version = 1;
            Inserted::Stored(Box::new(record), epoch(&mut fields)?)
        }
        _ => return Err(Trouble::Corrupt("outcome")),
    })
}

pub(super) async fn apply(
    line: &Line,
    realm: &RealmId,
    change: &Change,
) -> Result<Applied, Trouble> {
    let ask = Ask::often(&CHANGE)
        .with(String::from(realm.as_str()))
        .with(change.token.as_bytes().to_vec())
        .with(change.expects.map(version))
        .with(object(columns::of_patch(&change.patch)?))
        .with(change.cascade);
    let ask = presented_by(ask, change.presenter).with(micros(change.event.at));
    let rows = line.change(&with_event(ask, &change.event)?).await?;
    let row = only(&rows)?;
    let mut fields = Fields::of(row);
    let outcome = fields.text()?;
    let token = || Ok::<_, Trouble>(Box::new(columns::token(&mut Fields::after(row, 3))?));
    Ok(match outcome {
        Some("missing") => Applied::Missing,
        Some("revoked") => Applied::Revoked(token()?),
        Some("conflict") => Applied::Conflict(token()?),
        Some("presenter_changed") => Applied::PresenterChanged,
        Some("done") => {
            let epoch = epoch(&mut fields)?;
            Applied::Done { record: token()?, epoch, cascaded: ids(&mut fields)? }
        }
        _ => return Err(Trouble::Corrupt("outcome")),
    })
}

static CHANGE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT c.outcome, c.epoch, c.cascaded, {COLUMNS}
         FROM keyfob.change_token($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) c,
             LATERAL (SELECT (c.token).*) t"
    )
});

pub(super) async fn revoke_all(
    line: &Line,
    realm: &RealmId,
    revocation: &MassRevocation,
) -> Result<Revoked, Trouble> {
    let ask = Ask::often(
        "SELECT epoch, ids FROM keyfob.revoke_tokens($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
             $12, $13, $14, $15, $16, $17, $18)",
    );
    let ask = selecting(ask.with(String::from(realm.as_str())), &revocation.filter)
        .with(revocation.except.map(|except| except.as_bytes().to_vec()))
        .with(written(&revocation.end)?)
        .with(micros(revocation.end.at));
    let rows = line.change(&with_event(ask, &revocation.event)?).await?;
    let mut fields = Fields::of(only(&rows)?);
    let epoch = epoch(&mut fields)?;
    Ok(Revoked::new(ids(&mut fields)?, epoch))
}

pub(super) async fn mark_used(
    line: &Line,
    realm: &RealmId,
    uses: &[Use],
) -> Result<Vec<TokenId>, Trouble> {
    let mut told = Vec::new();
    for uses in uses.chunks(USES_AT_ONCE) {
        let each = |of: fn(&Use) -> Option<i64>| uses.iter().map(of).collect::<Vec<_>>();
        let tokens: Vec<Vec<u8>> = uses.iter().map(|new| new.token.as_bytes().to_vec()).collect();
        let froms = uses.iter().map(|new| new.usage.last_from.map(|address| address.to_string()));
        let counts =
            uses.iter().map(|new| signed(new.usage.count)).collect::<Result<Vec<_>, _>>()?;
        let events = uses.iter().map(|new| new.if_new.as_ref().map(written).transpose());
        let ask = Ask::often("SELECT keyfob.mark_used($1, $2, $3, $4, $5, $6, $7)")
            .with(String::from(realm.as_str()))
            .with(tokens)
            .with(each(|new| new.usage.last_at.map(micros)))
            .with(froms.collect::<Vec<_>>())
            .with(counts)
            .with(events.collect::<Result<Vec<_>, _>>()?)
            .with(i64::try_from(Use::KNOWN_ADDRESSES).unwrap_or(i64::MAX));
        let rows = line.change(&ask).await?;
        told.extend(ids(&mut Fields::of(only(&rows)?))?);
    }
    Ok(told)
}

pub(super) async fn spend(
    line: &Line,
    realm: &RealmId,
    token: TokenId,
    uses: NonZeroU32,
) -> Result<bool, Trouble> {
    let ask = Ask::often("SELECT keyfob.spend($1, $2, $3)")
        .with(String::from(realm.as_str()))
        .with(token.as_bytes().to_vec())
        .with(i64::from(uses.get()));
    let rows = line.change(&ask).await?;
    Ok(given::<u64>(Fields::of(only(&rows)?).integer()?, "spent")? == 1)
}

/// Changes of the realm wait for uses that are being written: some milliseconds for so many.
const USES_AT_ONCE: usize = 500;

pub(super) async fn set_owner(
    line: &Line,
    realm: &RealmId,
    change: &OwnerChange,
) -> Result<OwnerSet, Trouble> {
    let end = Ended::new(change.event.by.clone(), change.event.why.clone(), change.at);
    let ask = Ask::often(
        "SELECT outcome, epoch, standing, generation, sequence, changed_at
         FROM keyfob.set_owner($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .with(String::from(realm.as_str()))
    .with(String::from(change.owner.as_str()))
    .with(standing_number(change.standing))
    .with(micros(change.at));
    let ask = presented_by(ask, change.presenter).with(written(&end)?);
    let rows = line.change(&with_event(ask, &change.event)?).await?;
    let mut fields = Fields::of(only(&rows)?);
    let changed = match fields.text()? {
        Some("presenter_changed") => return Ok(OwnerSet::PresenterChanged),
        Some("done") => true,
        Some("same") => false,
        _ => return Err(Trouble::Corrupt("outcome")),
    };
    let epoch = epoch(&mut fields)?;
    Ok(OwnerSet::Done(OwnerChanged::new(columns::owner(&mut fields)?, epoch, changed)))
}

pub(super) async fn prune(
    line: &Line,
    realm: &RealmId,
    dead_before: DateTime<Utc>,
    limit: u32,
) -> Result<u64, Trouble> {
    let ask = Ask::often("SELECT keyfob.prune($1, $2, $3)")
        .with(String::from(realm.as_str()))
        .with(micros(dead_before))
        .with(i64::from(limit));
    let rows = line.change(&ask).await?;
    Ok(given(Fields::of(only(&rows)?).integer()?, "pruned")?)
}

/// Columns as a JSON object, which the server reads into a row: bytes as `\x` and digits.
fn object(columns: Named) -> String {
    let json = |value| match value {
        Value::Null => Json::Null,
        Value::Integer(number) => number.into(),
        Value::Text(text) => text.into(),
        Value::Bytes(bytes) => {
            let digits = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            format!("\\x{digits}").into()
        }
    };
    let all = columns.into_iter().map(|(name, value)| (name.to_owned(), json(value)));
    Json::Object(all.collect()).to_string()
}

fn presented_by(ask: Ask, presenter: Option<Presenter>) -> Ask {
    ask.with(presenter.map(|presenter| presenter.token.as_bytes().to_vec()))
        .with(presenter.map(|presenter| version(presenter.version)))
}

pub(super) fn with_event(ask: Ask, event: &Event) -> Result<Ask, Damaged> {
    Ok(ask
        .with(event.token.as_ref().map(|token| token.as_bytes().to_vec()))
        .with(event.owner.as_ref().map(|owner: &OwnerId| String::from(owner.as_str())))
        .with(written(event)?))
}

/// A version to compare with. One that does not fit was never given, and -1 neither.
pub(super) fn version(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(-1)
}

pub(super) fn only(rows: &[Row]) -> Result<&Row, Damaged> {
    rows.first().ok_or(Damaged("outcome"))
}

fn epoch(fields: &mut Fields<'_>) -> Result<Epoch, Trouble> {
    Ok(Epoch(given(fields.integer()?, "epoch")?))
}

fn ids(fields: &mut Fields<'_>) -> Result<Vec<TokenId>, Trouble> {
    let ids: Vec<Vec<u8>> = fields.value()?;
    let ids = ids.iter().map(|id| Ok(TokenId::from_bytes(fixed(id, "id")?)));
    ids.collect::<Result<_, Damaged>>().map_err(Trouble::from)
}
