//! A sheet as it is written. Pure.

use std::collections::HashSet;

/// All that is claimed of one product.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    pub(crate) product: String,
    pub(crate) rows: Vec<Row>,
    /// What cannot be read: where it stands, and what is wrong there.
    pub(crate) faults: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) fact: String,
    pub(crate) verdict: Verdict,
    pub(crate) tests: Vec<Test>,
}

/// How this project compares with the product in one fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is so here too.
    Same,
    /// It is not so here, and nobody misses it.
    Better,
    /// It is otherwise here, on purpose.
    Different,
    /// There is nothing of it here.
    Absent,
}

/// A test, by the target that holds it and the name that the target prints.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Test {
    pub(crate) target: String,
    pub(crate) name: String,
}

impl Sheet {
    pub(crate) fn read(product: String, text: &str) -> Self {
        let mut sheet = Self { product, ..Self::default() };
        let mut lines = (1..).zip(text.lines());
        if lines.next().is_none_or(|(_, line)| line != HEADER) {
            sheet.fault(1, format!("the first line is not {HEADER:?}"));
            return sheet;
        }
        let mut ids = HashSet::new();
        for (number, line) in lines {
            match row(line) {
                Ok(row) if !ids.insert(row.id.clone()) => {
                    sheet.fault(number, format!("another row is {} already", row.id));
                }
                Ok(row) => sheet.rows.push(row),
                Err(fault) => sheet.fault(number, fault),
            }
        }
        if sheet.rows.is_empty() && sheet.faults.is_empty() {
            sheet.fault(1, "there are no rows".to_owned());
        }
        sheet
    }

    fn fault(&mut self, line: usize, fault: String) {
        self.faults.push((format!("{} line {line}: {fault}", self.product), fault));
    }
}

fn row(line: &str) -> Result<Row, String> {
    let columns: Vec<&str> = line.split('\t').collect();
    let [id, fact, verdict, tests] = columns[..] else {
        return Err(format!("it has {} columns, not four", columns.len()));
    };
    for (column, name) in [(id, "row"), (fact, "fact")] {
        if column.trim() != column || column.is_empty() {
            return Err(format!("its {name} is empty or padded"));
        }
    }
    let verdict = match verdict {
        "same" => Verdict::Same,
        "better" => Verdict::Better,
        "different" => Verdict::Different,
        "absent" => Verdict::Absent,
        other => return Err(format!("{other:?} is no verdict")),
    };
    let tests = match (tests, verdict) {
        ("-", Verdict::Absent) => Vec::new(),
        ("-", _) => return Err("it names no test".to_owned()),
        (tests, _) => tests.split(',').map(test).collect::<Result<_, _>>()?,
    };
    let distinct: HashSet<_> = tests.iter().map(|Test { target, name }| (target, name)).collect();
    if distinct.len() != tests.len() {
        return Err("it names a test twice".to_owned());
    }
    Ok(Row { id: id.to_owned(), fact: fact.to_owned(), verdict, tests })
}

fn test(text: &str) -> Result<Test, String> {
    match text.split_once("::") {
        Some((target, name)) if is_target(target) && name.trim() == name && !name.is_empty() => {
            Ok(Test { target: target.to_owned(), name: name.to_owned() })
        }
        _ => Err(format!("{text:?} is no test of a target")),
    }
}

/// It becomes an argument and a file's name.
fn is_target(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

pub(crate) const HEADER: &str = "row\tfact\tverdict\ttests";
