//! The values of rows and queries, as far as they can be compared. Pure.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde_json::Value;

use super::failure::Failure;
use super::object::written;

/// A field.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a host writes one down for each of its fields")]
pub struct Column {
    /// What a query calls it.
    pub name: &'static str,
    /// Where it is in a row as JSON (RFC 6901).
    pub pointer: &'static str,
    /// What it holds.
    pub holds: Holds,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "these are the kinds that a query can speak of")]
pub enum Holds {
    /// Yes or no.
    Flag,
    /// A number.
    Number,
    /// The number of something else, or nothing.
    Reference,
    /// A text.
    Text,
    /// A time.
    Time,
}

/// A value that can be compared with its like.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cell {
    Flag(bool),
    Number(i128),
    Text(String),
    Time(DateTime<Utc>),
    /// After all others, as in the product's database.
    Nothing,
}

impl Cell {
    pub(super) fn of(column: Column, row: &Value) -> Self {
        match (row.pointer(column.pointer), column.holds) {
            (Some(Value::Bool(flag)), _) => Self::Flag(*flag),
            (Some(Value::Number(number)), _) => {
                number.as_i128().map_or(Self::Nothing, Self::Number)
            }
            (Some(Value::String(text)), Holds::Time) => {
                time(text).map_or(Self::Nothing, Self::Time)
            }
            (Some(Value::String(text)), _) => Self::Text(text.clone()),
            _ => Self::Nothing,
        }
    }

    /// What a value of a query is for a field.
    pub(super) fn read(column: Column, text: &str) -> Result<Self, Failure> {
        let invalid = |what: String| Failure::InvalidQuery(what);
        match column.holds {
            Holds::Text => Ok(Self::Text(text.to_owned())),
            Holds::Flag => flag(text).map(Self::Flag),
            Holds::Number => text.trim().parse().map(Self::Number).map_err(|_| {
                invalid(format!("[\"\u{201c}{text}\u{201d} value must be an integer.\"]"))
            }),
            Holds::Reference if matches!(text.to_lowercase().as_str(), "none" | "null") => {
                Ok(Self::Nothing)
            }
            Holds::Reference => text.trim().parse().map(Self::Number).map_err(|_| {
                let name = column.name.split("__").next().unwrap_or_default();
                invalid(format!("Invalid {name} id: {text}"))
            }),
            Holds::Time => time(text).map(Self::Time).ok_or_else(|| {
                invalid(format!(
                    "[\"\u{201c}{text}\u{201d} value has an invalid format. It must be in \
                     YYYY-MM-DD HH:MM[:ss[.uuuuuu]][TZ] format.\"]"
                ))
            }),
        }
    }

    pub(super) fn text(self) -> String {
        match self {
            Self::Flag(flag) => flag.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
            Self::Time(at) => written(at),
            Self::Nothing => String::new(),
        }
    }
}

pub(super) fn flag(text: &str) -> Result<bool, Failure> {
    match text.to_lowercase().as_str() {
        "true" | "t" | "1" => Ok(true),
        "false" | "f" | "0" | "null" | "none" => Ok(false),
        _ => Err(Failure::InvalidQuery(format!("Unable to convert \"{text}\" to boolean"))),
    }
}

/// A time with or without a zone, which then is UTC, or a day.
fn time(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.to_utc());
    }
    let formats =
        ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    let naive = formats.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    naive.or_else(day).map(|at| at.and_utc())
}
