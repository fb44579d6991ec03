//! The checker, checked: what must not pass does not.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use libtest_mimic::{Arguments, Trial};

use crate::run::{Outcomes, Report, Wanted, as_at, has_own_main, judge, read, wanted};
use crate::sheet::{HEADER, Row, Sheet, Test, Verdict};
use crate::{claims, sheets};

pub(crate) fn trials() -> Vec<Trial> {
    let checks: [(&str, fn()); 9] = [
        ("a_row_is_a_fact_a_verdict_and_its_tests", a_row_is_a_fact_a_verdict_and_its_tests),
        ("a_malformed_row_fails_by_name", a_malformed_row_fails_by_name),
        ("a_sheet_without_rows_fails", a_sheet_without_rows_fails),
        ("a_folder_without_sheets_fails", a_folder_without_sheets_fails),
        ("only_ok_is_ok", only_ok_is_ok),
        ("a_planted_sheet_is_refused", a_planted_sheet_is_refused),
        ("the_tests_that_are_named_are_run", the_tests_that_are_named_are_run),
        (
            "the_lines_of_both_kinds_of_targets_are_read",
            the_lines_of_both_kinds_of_targets_are_read,
        ),
        ("a_test_is_built_as_this_one", a_test_is_built_as_this_one),
    ];
    let trial = |(name, check): (&str, fn())| {
        Trial::test(name, move || {
            check();
            Ok(())
        })
    };
    checks.map(trial).into()
}

fn sheet(rows: &str) -> Sheet {
    Sheet::read("p".to_owned(), &format!("{HEADER}\n{rows}"))
}

fn test(target: &str, name: &str) -> Test {
    Test { target: target.to_owned(), name: name.to_owned() }
}

fn a_row_is_a_fact_a_verdict_and_its_tests() {
    let read = sheet("1\tit works\tbetter\ta::b,lib::c::d,e::two words\n2\tno\tabsent\t-\n");
    assert_eq!(read.faults, []);
    let (fact, verdict) = ("it works".to_owned(), Verdict::Better);
    let tests = vec![test("a", "b"), test("lib", "c::d"), test("e", "two words")];
    let first = Row { id: "1".to_owned(), fact, verdict, tests };
    let (fact, verdict) = ("no".to_owned(), Verdict::Absent);
    let second = Row { id: "2".to_owned(), fact, verdict, tests: vec![] };
    assert_eq!(read.rows, [first, second]);
}

fn a_malformed_row_fails_by_name() {
    for (rows, fault) in [
        ("1\tf\tsame", "it has 3 columns, not four"),
        ("1\tf\tsame\ta::b\t", "it has 5 columns, not four"),
        ("", "it has 1 columns, not four"),
        ("\tf\tsame\ta::b", "its row is empty or padded"),
        ("1\t\tsame\ta::b", "its fact is empty or padded"),
        ("1\t \tsame\ta::b", "its fact is empty or padded"),
        ("1\tf\tSame\ta::b", "\"Same\" is no verdict"),
        ("1\tf\t\ta::b", "\"\" is no verdict"),
        ("1\tf\tsame\t-", "it names no test"),
        ("1\tf\tsame\t", "\"\" is no test of a target"),
        ("1\tf\tabsent\t", "\"\" is no test of a target"),
        ("1\tf\tsame\ta", "\"a\" is no test of a target"),
        ("1\tf\tsame\ta::", "\"a::\" is no test of a target"),
        ("1\tf\tsame\t--a::b", "\"--a::b\" is no test of a target"),
        ("1\tf\tsame\ta::b, c::d", "\" c::d\" is no test of a target"),
        ("1\tf\tsame\ta::b,a::b", "it names a test twice"),
    ] {
        let read = sheet(&format!("{rows}\n"));
        assert_eq!(read.rows, [], "{rows:?}");
        assert_eq!(read.faults, [(format!("p line 2: {fault}"), fault.to_owned())], "{rows:?}");
    }
    let read = sheet("1\tf\tsame\ta::b\n1\tg\tsame\ta::b\n");
    assert_eq!(read.rows.len(), 1);
    assert_eq!(read.faults[0].0, "p line 3: another row is 1 already");
    let read = Sheet::read("p".to_owned(), "1\tf\tsame\ta::b\n");
    assert_eq!((read.rows.len(), read.faults.len()), (0, 1));
}

fn a_sheet_without_rows_fails() {
    for text in ["", HEADER, &format!("{HEADER}\n")] {
        let read = Sheet::read("p".to_owned(), text);
        assert_eq!((read.rows.len(), read.faults.len()), (0, 1), "{text:?}");
    }
}

fn a_folder_without_sheets_fails() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.txt"), "none").unwrap();
    assert!(sheets(folder.path()).is_err());
    assert!(sheets(Path::new("/nowhere/at/all")).is_err());
    assert!(has_failed(sheets(folder.path()), &BTreeMap::new()));
}

fn only_ok_is_ok() {
    let told = "test a ... ok\ntest b ... FAILED\ntest c ... ignored, no server\n";
    let outcomes: Outcomes = [
        ("t".to_owned(), Ok(read(told))),
        ("broken".to_owned(), Err("it does not build".to_owned())),
    ]
    .into();
    let verdict = |tests: &[(&str, &str)]| {
        let tests = tests.iter().map(|(target, name)| test(target, name)).collect();
        let (id, fact) = ("1".to_owned(), "f".to_owned());
        judge(&Row { id, fact, verdict: Verdict::Same, tests }, &outcomes)
    };
    assert_eq!(verdict(&[("t", "a")]), Ok(()));
    for (target, name, what) in [
        ("t", "b", "t::b: FAILED"),
        ("t", "c", "t::c: ignored, no server"),
        ("t", "d", "t::d: the target t told nothing of such a test"),
        ("broken", "a", "broken::a: it does not build"),
        ("other", "a", "other::a: it was not run"),
    ] {
        assert_eq!(verdict(&[("t", "a"), (target, name)]), Err(what.to_owned()));
    }
}

/// The whole way, with a target whose one test passes.
fn a_planted_sheet_is_refused() {
    let told: Report = read("test there ... ok\n");
    let planted = |rows: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("p.tsv"), format!("{HEADER}\n{rows}")).unwrap();
        has_failed(sheets(folder.path()), &told)
    };
    assert!(!planted("1\tf\tsame\tt::there\n"));
    assert!(planted("1\tf\tsame\tt::missing\n"));
    assert!(planted("1\tf\tsame\tt::there\n2\tg\tsame\tt::there,t::missing\n"));
    assert!(planted("1\tf\tsame\tt::there\n2\tg\tgood\tt::there\n"));
    assert!(planted("1\tf\tsame\tt::there\n1\tg\tsame\tt::there\n"));
    assert!(planted(""));
}

/// Whether one of these claims fails where the target `t` tells this.
fn has_failed(sheets: Result<Vec<Sheet>, String>, told: &Report) -> bool {
    let told = told.clone();
    let trials = claims(sheets, move |_| [("t".to_owned(), Ok(told))].into());
    let quiet =
        Arguments { quiet: true, logfile: Some("/dev/null".into()), ..Arguments::default() };
    libtest_mimic::run(&quiet, trials).has_failed()
}

fn the_tests_that_are_named_are_run() {
    let rows = sheet("1\tf\tsame\ta::b,a::c\n2\tg\tsame\ta::b,lib::d\n").rows;
    let expected: Wanted = [
        ("a".to_owned(), ["b".to_owned(), "c".to_owned()].into()),
        ("lib".to_owned(), ["d".to_owned()].into()),
    ]
    .into();
    assert_eq!(wanted(rows.iter()), expected);
    let manifest = include_str!("../../Cargo.toml");
    assert!(has_own_main(manifest, "clients") && has_own_main(manifest, "acceptance"));
    assert!(!has_own_main(manifest, "mattermost_api"));
}

fn the_lines_of_both_kinds_of_targets_are_read() {
    let told = "\nrunning 4 tests\ntest plain ... ok\ntest a::panics - should panic ... ok\n\
                test two words ... ok\ntest [no server] another one ... ignored\n\
                test long     ... FAILED\ntest result: FAILED. 3 passed\n";
    let expected = [
        ("plain", "ok"),
        ("a::panics", "ok"),
        ("two words", "ok"),
        ("another one", "ignored"),
        ("long", "FAILED"),
    ];
    let expected = expected.map(|(name, outcome)| (name.to_owned(), outcome.to_owned()));
    assert_eq!(read(told), Report::from(expected));
}

fn a_test_is_built_as_this_one() {
    let arguments = |place: &str| as_at(Path::new(place)).map(|arguments| arguments.join(" "));
    assert_eq!(arguments("debug/deps/a-1").as_deref(), Ok(""));
    assert_eq!(arguments("release/deps/a-1").as_deref(), Ok("--profile release"));
    let platform = arguments("some-platform/debug/deps/a-1");
    assert_eq!(platform.as_deref(), Ok("--target some-platform"));
    assert!(arguments("a-1").is_err());
}
