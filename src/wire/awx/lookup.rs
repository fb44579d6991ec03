//! Filters and orders, as the product reads them from a query. Pure.
//!
//! A key is a field, with a lookup behind two underscores and `or__`, `chain__` and `not__` before
//! it. Rows are compared as they are written. How much a query may ask for has its limits, since each
//! row of a list is held against all of it.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::Value;

use super::cell::{Cell, Column, Holds, flag};
use super::failure::Failure;
use super::page::Pairs;

/// What the rows of a list are, as far as they can be filtered and ordered.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a host writes one down for each of its lists")]
pub struct Table {
    /// What the product calls a row where it speaks of its fields.
    pub model: &'static str,
    /// The `type` of a row.
    pub r#type: &'static str,
    /// The fields.
    pub columns: &'static [Column],
    /// The fields in which `search` looks.
    pub searched: &'static [&'static str],
}

/// The rows that a query asks for, and their order.
#[derive(Debug)]
pub(super) struct Lookup {
    all: Vec<Condition>,
    any: Vec<Condition>,
    terms: Vec<String>,
    is_of_another_type: bool,
    order: Vec<(Column, bool)>,
}

#[derive(Debug)]
struct Condition {
    column: Column,
    is_not: bool,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Compare(&'static [Ordering], Cell),
    In(Vec<Cell>),
    IsNull(bool),
    Text { at: Place, folds: bool, text: String },
}

#[derive(Clone, Copy, Debug)]
enum Place {
    End,
    Exactly,
    Somewhere,
    Start,
}

impl Lookup {
    pub(super) fn read(query: &Pairs, table: &Table) -> Result<Self, Failure> {
        let mut lookup = Self {
            all: Vec::new(),
            any: Vec::new(),
            terms: Vec::new(),
            is_of_another_type: false,
            order: Vec::new(),
        };
        for (key, value) in query {
            match key.as_str() {
                "page" | "page_size" | "format" | "count_disabled" | "no_truncate" | "limit"
                | "host_filter" => {}
                "order" | "order_by" => lookup.order = order(value, table)?,
                "search" => {
                    let terms = value.split([',', ' ']).filter(|term| !term.is_empty());
                    lookup.terms = terms.map(str::to_lowercase).collect();
                    at_most(MOST_OF_A_KIND, lookup.terms.len(), "search terms")?;
                }
                "type" => lookup.is_of_another_type = value.split(',').all(|t| t != table.r#type),
                key => lookup.add(key, value, table)?,
            }
        }
        Ok(lookup)
    }

    fn add(&mut self, key: &str, value: &str, table: &Table) -> Result<(), Failure> {
        let (key, list) = match (key.strip_prefix("or__"), key.strip_prefix("chain__")) {
            (Some(rest), _) => (rest, &mut self.any),
            (None, Some(rest)) => (rest, &mut self.all),
            (None, None) => (key, &mut self.all),
        };
        let (key, is_not) = key.strip_prefix("not__").map_or((key, false), |rest| (rest, true));
        let (path, suffix) = match key.rsplit_once("__") {
            Some((path, suffix)) if LOOKUPS.contains(&suffix) => (path, suffix),
            _ => (key, "exact"),
        };
        let column = column(path, table)?;
        list.push(Condition { column, is_not, test: test(column, suffix, value)? });
        at_most(MOST_OF_A_KIND, self.all.len().saturating_add(self.any.len()), "filters")
    }

    /// The one number that a field must be, if the query says so.
    pub(super) fn only(&self, name: &str) -> Option<u64> {
        self.all.iter().find_map(|condition| match &condition.test {
            Test::Compare([Ordering::Equal], Cell::Number(number))
                if condition.column.name == name && !condition.is_not =>
            {
                u64::try_from(*number).ok()
            }
            _ => None,
        })
    }

    /// Whether the query wants all rows in the order in which they were made, and nothing else.
    pub(super) fn is_plain(&self) -> bool {
        self.all.is_empty()
            && self.any.is_empty()
            && self.terms.is_empty()
            && self.order.is_empty()
            && !self.is_of_another_type
    }

    /// The rows that the query selects, in its order; those that are equal stay in theirs.
    pub(super) fn apply<T>(
        &self,
        table: &Table,
        rows: Vec<T>,
        json: impl Fn(&T) -> Value,
    ) -> Vec<T> {
        if self.is_of_another_type {
            return Vec::new();
        }
        let rows = rows.into_iter().map(|row| (json(&row), row));
        let rows = rows.filter(|(json, _)| self.selects(table, json));
        let mut rows: Vec<(Vec<Cell>, T)> =
            rows.map(|(json, row)| (self.rank(&json), row)).collect();
        rows.sort_by(|(one, _), (other, _)| self.compare(one, other));
        rows.into_iter().map(|(_, row)| row).collect()
    }

    fn selects(&self, table: &Table, row: &Value) -> bool {
        let (all, any) = (&self.all, &self.any);
        let mut cells = Cells::new();
        for Condition { column, .. } in all.iter().chain(any) {
            cells.entry(column.name).or_insert_with(|| Read::of(Cell::of(*column, row)));
        }
        all.iter().all(|condition| condition.holds(&cells))
            && (any.is_empty() || any.iter().any(|condition| condition.holds(&cells)))
            && self.finds(table, row)
    }

    /// Whether each term is in one of the fields in which a search looks.
    fn finds(&self, table: &Table, row: &Value) -> bool {
        if self.terms.is_empty() {
            return true;
        }
        let texts = table.searched.iter().filter_map(|name| row.get(name)?.as_str());
        let texts: Vec<String> = texts.map(str::to_lowercase).collect();
        self.terms.iter().all(|term| texts.iter().any(|text| text.contains(term)))
    }

    /// By what a row is ordered.
    fn rank(&self, row: &Value) -> Vec<Cell> {
        self.order.iter().map(|(column, _)| Cell::of(*column, row)).collect()
    }

    fn compare(&self, one: &[Cell], other: &[Cell]) -> Ordering {
        let pairs = self.order.iter().zip(one.iter().zip(other));
        let mut orders = pairs.map(|((_, is_descending), (one, other))| {
            let order = one.cmp(other);
            if *is_descending { order.reverse() } else { order }
        });
        orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

/// What a row holds in the columns that a query filters by.
type Cells = BTreeMap<&'static str, Read>;

/// A cell of a row, which several conditions may be about.
struct Read {
    cell: Cell,
    text: String,
    small: String,
}

impl Read {
    fn of(cell: Cell) -> Self {
        let text = cell.clone().text();
        Self { cell, small: text.to_lowercase(), text }
    }
}

impl Condition {
    fn holds(&self, cells: &Cells) -> bool {
        // The cells are of all conditions.
        let Some(Read { cell, text: of_row, small }) = cells.get(self.column.name) else {
            return false;
        };
        let holds = match &self.test {
            Test::IsNull(wanted) => (*cell == Cell::Nothing) == *wanted,
            // What is not there is neither equal nor unequal to anything.
            _ if *cell == Cell::Nothing => false,
            Test::Compare(orders, than) => orders.contains(&cell.cmp(than)),
            Test::In(cells) => cells.contains(cell),
            Test::Text { at, folds, text } => {
                let of_row = if *folds { small } else { of_row };
                match at {
                    Place::End => of_row.ends_with(text),
                    Place::Exactly => of_row == text,
                    Place::Somewhere => of_row.contains(text),
                    Place::Start => of_row.starts_with(text),
                }
            }
        };
        holds != self.is_not
    }
}

fn column(path: &str, table: &Table) -> Result<Column, Failure> {
    let first = path.split("__").next().unwrap_or_default();
    if first.is_empty() {
        return Err(Failure::InvalidQuery("Query string field name not provided.".to_owned()));
    }
    for forbidden in ["password", "token"] {
        if path.split("__").any(|part| part == forbidden) {
            return Err(Failure::ForbiddenFilter(forbidden));
        }
    }
    let same = |name: &str| match name {
        // The product's own name for the number of a row.
        "id" => matches!(path, "id" | "pk"),
        name => name == path,
    };
    if let Some(found) = table.columns.iter().find(|column| same(column.name)) {
        return Ok(*found);
    }
    let has_first = table.columns.iter().any(|column| column.name == first);
    Err(Failure::InvalidQuery(match path.split_once("__") {
        Some((_, beyond)) if has_first => format!("No related model for field {beyond}."),
        _ => format!("{} has no field named '{first}'", table.model),
    }))
}

fn test(column: Column, suffix: &str, value: &str) -> Result<Test, Failure> {
    let compare = |orders: &'static [Ordering]| {
        Cell::read(column, value).map(|cell| match cell {
            Cell::Nothing => Test::IsNull(true),
            cell => Test::Compare(orders, cell),
        })
    };
    let text = |at, folds: bool| {
        let text = if folds { value.to_lowercase() } else { value.to_owned() };
        Ok(Test::Text { at, folds, text })
    };
    match suffix {
        "exact" => compare(&[Ordering::Equal]),
        "gt" => compare(&[Ordering::Greater]),
        "gte" => compare(&[Ordering::Greater, Ordering::Equal]),
        "lt" => compare(&[Ordering::Less]),
        "lte" => compare(&[Ordering::Less, Ordering::Equal]),
        "in" if value.is_empty() => {
            Err(Failure::InvalidQuery("cannot provide empty value for __in".to_owned()))
        }
        "in" => {
            at_most(MOST_VALUES, value.split(',').count(), "values of a list")?;
            let cells = value.split(',').map(|item| Cell::read(column, item));
            cells.collect::<Result<_, _>>().map(Test::In)
        }
        "isnull" => flag(value).map(Test::IsNull),
        "iexact" if column.holds != Holds::Text => Err(Failure::InvalidQuery(format!(
            "{} is not a text field and cannot be filtered by case-insensitive search",
            column.name
        ))),
        "iexact" => text(Place::Exactly, true),
        "contains" => text(Place::Somewhere, false),
        "icontains" => text(Place::Somewhere, true),
        "startswith" => text(Place::Start, false),
        "istartswith" => text(Place::Start, true),
        "endswith" => text(Place::End, false),
        "iendswith" => text(Place::End, true),
        "search" => Err(Failure::InvalidQuery(format!("{} is not searchable", column.name))),
        // An expression can take longer than any request may.
        other => Err(Failure::InvalidQuery(format!("Filtering by {other} is not supported."))),
    }
}

fn order(value: &str, table: &Table) -> Result<Vec<(Column, bool)>, Failure> {
    let names = value.split(',').map(str::trim).filter(|name| !matches!(*name, "" | "-"));
    let names = names.map(|name| name.strip_prefix('-').map_or((name, false), |n| (n, true)));
    // All rows of a list are of one type.
    let names: Vec<_> = names.filter(|(name, _)| *name != "type").collect();
    at_most(MOST_OF_A_KIND, names.len(), "fields to order by")?;
    let mut order: Vec<(Column, bool)> = Vec::new();
    for (name, descends) in names {
        let found = column(name, table)?;
        // Where a field is equal, it is so the second time too.
        if order.iter().all(|(earlier, _)| earlier.name != found.name) {
            order.push((found, descends));
        }
    }
    Ok(order)
}

fn at_most(most: usize, count: usize, what: &str) -> Result<(), Failure> {
    if count <= most {
        return Ok(());
    }
    Err(Failure::InvalidQuery(format!("A query may have at most {most} {what}.")))
}

/// More than any client asks for, and little enough for ten thousand rows.
const MOST_OF_A_KIND: usize = 16;

const MOST_VALUES: usize = 100;

const LOOKUPS: [&str; 17] = [
    "exact",
    "iexact",
    "contains",
    "icontains",
    "startswith",
    "istartswith",
    "endswith",
    "iendswith",
    "regex",
    "iregex",
    "gt",
    "gte",
    "lt",
    "lte",
    "in",
    "isnull",
    "search",
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TABLE: Table = Table {
        model: "OAuth2AccessToken",
        r#type: "o_auth2_access_token",
        columns: &[
            Column { name: "id", pointer: "/id", holds: Holds::Number },
            Column { name: "user", pointer: "/user", holds: Holds::Reference },
            Column { name: "description", pointer: "/description", holds: Holds::Text },
            Column { name: "created", pointer: "/created", holds: Holds::Time },
            Column { name: "user__username", pointer: "/of/username", holds: Holds::Text },
            Column { name: "application", pointer: "/application", holds: Holds::Reference },
            Column { name: "live", pointer: "/live", holds: Holds::Flag },
        ],
        searched: &["description"],
    };

    fn read(query: &str) -> Result<Lookup, Failure> {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let pairs: Vec<_> = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Lookup::read(&pairs, &TABLE)
    }

    fn ids(query: &str) -> Vec<u64> {
        let row = |id: u64, user: Option<u64>, description: &str, created: &str, name: &str| {
            json!({"id": id, "user": user, "description": description, "created": created,
                   "of": {"username": name}, "application": null, "live": id != 2})
        };
        let rows = vec![
            row(1, Some(5), "Backup", "2026-01-01T00:00:00Z", "alice"),
            row(2, Some(6), "ci", "2026-01-01T00:00:00.500000Z", "bob"),
            row(3, None, "ci and backup", "2026-02-01T00:00:00Z", ""),
        ];
        let rows = read(query).unwrap().apply(&TABLE, rows, Value::clone);
        rows.iter().map(|row| row["id"].as_u64().unwrap()).collect()
    }

    #[test]
    fn a_field_is_looked_up_in_the_products_ways() {
        for (query, expected) in [
            ("", &[1, 2, 3][..]),
            ("id=2", &[2]),
            ("pk__exact=2", &[2]),
            ("id__in=3,1", &[1, 3]),
            ("id__gt=1", &[2, 3]),
            ("id__gte=2&id__lt=3", &[2]),
            ("id__lte=1", &[1]),
            ("user=5", &[1]),
            ("user__isnull=true", &[3]),
            ("user=null", &[3]),
            ("user__isnull=False", &[1, 2]),
            ("application__isnull=true", &[1, 2, 3]),
            ("user__username=bob", &[2]),
            ("live=false", &[2]),
            ("description=ci", &[2]),
            ("description__iexact=CI", &[2]),
            ("description__contains=backup", &[3]),
            ("description__icontains=BACKUP", &[1, 3]),
            ("description__startswith=ci", &[2, 3]),
            ("description__istartswith=b", &[1]),
            ("description__endswith=ci", &[2]),
            ("description__iendswith=UP", &[1, 3]),
            ("created__gt=2026-01-01", &[2, 3]),
            ("created__lte=2026-01-01 00:00:00.5", &[1, 2]),
            ("created__lt=2026-01-01T00:00:00.100000Z", &[1]),
            ("not__description=ci", &[1, 3]),
            ("not__user=5", &[2, 3]),
            ("or__id=1&or__not__id__lt=3", &[1, 3]),
            ("chain__id=1", &[1]),
            ("id=1&description=ci", &[]),
            ("type=o_auth2_access_token", &[1, 2, 3]),
            ("type=user", &[]),
            ("type=user,o_auth2_access_token", &[1, 2, 3]),
            ("search=backup", &[1, 3]),
            ("search=CI,backup", &[3]),
            ("page=7&page_size=3&count_disabled=1&format=json", &[1, 2, 3]),
        ] {
            assert_eq!(ids(query), expected, "{query}");
        }
    }

    #[test]
    fn rows_come_in_the_order_of_any_field() {
        for (query, expected) in [
            ("order_by=-id", &[3, 2, 1][..]),
            ("order_by=description", &[1, 2, 3]),
            ("order_by=-created,id", &[3, 2, 1]),
            // Those without one come last, and first where the order is turned.
            ("order_by=-user", &[3, 2, 1]),
            ("order=user", &[1, 2, 3]),
            ("order_by=application,-id", &[3, 2, 1]),
            ("order_by=type", &[1, 2, 3]),
            ("order_by=", &[1, 2, 3]),
        ] {
            assert_eq!(ids(query), expected, "{query}");
        }
    }

    #[test]
    fn nobody_asks_for_secrets() {
        for query in [
            "token=a",
            "token__startswith=a",
            "not__token=a",
            "or__token__gt=a",
            "order_by=token",
            "order_by=-token",
            "refresh_token__token=a",
            "main_oauth2accesstoken__token__gt=a",
        ] {
            assert_eq!(read(query).unwrap_err(), Failure::ForbiddenFilter("token"), "{query}");
        }
        assert_eq!(read("user__password=a").unwrap_err(), Failure::ForbiddenFilter("password"));
    }

    #[test]
    fn what_cannot_be_looked_up_is_refused_in_words() {
        for (query, told) in [
            ("nothing=1", "OAuth2AccessToken has no field named 'nothing'"),
            ("order_by=nothing", "OAuth2AccessToken has no field named 'nothing'"),
            ("description__foo=1", "No related model for field foo."),
            ("__exact=1", "Query string field name not provided."),
            ("=1", "Query string field name not provided."),
            ("id=a", "[\"\u{201c}a\u{201d} value must be an integer.\"]"),
            ("user=a", "Invalid user id: a"),
            ("user__isnull=perhaps", "Unable to convert \"perhaps\" to boolean"),
            ("id__in=", "cannot provide empty value for __in"),
            (
                "id__iexact=1",
                "id is not a text field and cannot be filtered by case-insensitive search",
            ),
            ("user__search=a", "user is not searchable"),
            ("description__regex=a", "Filtering by regex is not supported."),
        ] {
            assert_eq!(read(query).unwrap_err(), Failure::InvalidQuery(told.to_owned()), "{query}");
        }
        let told = read("created=soon").unwrap_err().body().to_string();
        assert!(told.contains("value has an invalid format"), "{told}");
    }

    #[test]
    fn a_query_asks_for_so_much_and_no_more() {
        for (query, what) in [
            (list("search=", ",", "a", 16), None),
            (list("search=", ",", "a", 17), Some("16 search terms")),
            (list("", "&", "id__gt=0", 16), None),
            (list("", "&", "id__gt=0", 17), Some("16 filters")),
            (list("or__id=1&", "&", "description__icontains=a", 16), Some("16 filters")),
            (list("id__in=", ",", "1", 100), None),
            (list("id__in=", ",", "1", 101), Some("100 values of a list")),
            (list("order_by=", ",", "-id", 16), None),
            (list("order_by=", ",", "id", 17), Some("16 fields to order by")),
        ] {
            let told = read(&query).map(|_| ());
            let expected = what.map_or(Ok(()), |what| {
                Err(Failure::InvalidQuery(format!("A query may have at most {what}.")))
            });
            assert_eq!(told, expected, "{query}");
        }

        fn list(begin: &str, between: &str, item: &str, count: usize) -> String {
            format!("{begin}{}", vec![item; count].join(between))
        }
    }

    #[test]
    fn a_field_orders_once() {
        assert_eq!(read("order_by=-id,id,pk,created,-id").unwrap().order.len(), 2);
        assert_eq!(ids("order_by=-id,id"), [3, 2, 1]);
    }

    #[test]
    fn the_one_number_that_a_field_must_be_is_known_beforehand() {
        for (query, expected) in [
            ("id=7", Some(7)),
            ("id__exact=7&description=a", Some(7)),
            ("not__id=7", None),
            ("or__id=7", None),
            ("id__gt=7", None),
            ("id=-7", None),
            ("user=7", None),
        ] {
            assert_eq!(read(query).unwrap().only("id"), expected, "{query}");
        }
    }
}
