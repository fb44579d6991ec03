//! What is claimed of each product's face, fact by fact, and the tests that show it.
//!
//! Each `*.tsv` beside this file tells of one product. A row is a fact, the verdict on it, and the
//! tests by which it is so: `target::test`, where a target is one of this package's, and `lib` is
//! the library itself. Every row is a test here, and passes only if all of its tests were run and
//! passed. The tests are run once, when the first row asks.
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a check fails where it panics, and cargo is started with its own environment"
)]

mod checks;
mod run;
mod sheet;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, LazyLock};

use libtest_mimic::{Arguments, Failed, Trial};

use self::run::{Outcomes, Wanted};
use self::sheet::{Row, Sheet, Verdict};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let sheets = sheets(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/acceptance"));
    let mut trials = checks::trials();
    trials.extend(claims(sheets, run::all));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// What the folder holds: each sheet, or why it is none.
fn sheets(folder: &Path) -> Result<Vec<Sheet>, String> {
    let mut sheets = BTreeMap::new();
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.extension().is_some_and(|extension| extension == "tsv") {
            let product = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).map_err(|error| format!("{product}: {error}"))?;
            sheets.insert(product.clone(), Sheet::read(product, &text));
        }
    }
    if sheets.is_empty() {
        return Err("there is no sheet".to_owned());
    }
    Ok(sheets.into_values().collect())
}

/// A trial for each row, and one for each fault.
fn claims(
    sheets: Result<Vec<Sheet>, String>,
    run: impl FnOnce(&Wanted) -> Outcomes + Send + 'static,
) -> Vec<Trial> {
    let sheets = match sheets {
        Ok(sheets) => sheets,
        Err(fault) => return vec![fails("the sheets can be read".to_owned(), fault)],
    };
    let rows = || sheets.iter().flat_map(|sheet| &sheet.rows);
    let wanted: Wanted = run::wanted(rows());
    let outcomes = Arc::new(LazyLock::new(move || run(&wanted)));
    let mut trials = Vec::new();
    for Sheet { product, rows, faults } in &sheets {
        for (name, fault) in faults {
            trials.push(fails(name.clone(), fault.clone()));
        }
        for row in rows {
            trials.push(claim(product, row.clone(), Arc::clone(&outcomes)));
        }
    }
    trials
}

fn fails(name: String, fault: String) -> Trial {
    Trial::test(name, move || Err(Failed::from(fault)))
}

fn claim<F>(product: &str, row: Row, outcomes: Arc<LazyLock<Outcomes, F>>) -> Trial
where
    F: FnOnce() -> Outcomes + Send + 'static,
{
    let name = format!("{product} {}: {}", row.id, row.fact);
    // What is not there cannot be tested: such a row is told, by a word before its name.
    let is_told_only = row.verdict == Verdict::Absent && row.tests.is_empty();
    let trial = Trial::test(name, move || run::judge(&row, &outcomes).map_err(Failed::from));
    if is_told_only { trial.with_kind("absent") } else { trial }
}
