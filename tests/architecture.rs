//! The folder is the ring: what a source file may import, contain and weigh, read from `src`.
//!
//! The checker sees tokens, not types. Where it cannot tell, it refuses.
#![expect(clippy::arithmetic_side_effects, reason = "it counts the tokens and lines of a file")]

use std::fs;
use std::path::Path;

#[test]
fn every_source_file_keeps_to_its_ring() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut folders, mut seen, mut violations) = (vec![root.join("src")], 0, Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                violations.extend(check(&name, &fs::read_to_string(path).unwrap()));
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "only {seen} files were seen");
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn a_core_file_that_imports_a_port_is_refused() {
    refused(Rule::Import, "src/core/id.rs", "use crate::ports::clock::Clock;");
    refused(Rule::Import, "src/core/id.rs", "fn f(clock: &dyn crate::ports::clock::Clock) {}");
    refused(Rule::Import, "src/core/id.rs", "use crate::{\n    core::{a, b},\n    ports::C,\n};");
    refused(Rule::Import, "src/core/id.rs", "use {std::fmt, crate::ports::C};");
    refused(Rule::Import, "src/core/id.rs", "#[cfg(test)]\nmod tests {}\nuse crate::ports::C;");
}

#[test]
fn an_inner_ring_that_imports_an_outer_one_is_refused() {
    refused(Rule::Import, "src/ports/clock.rs", "use crate::service::Tokens;");
    refused(Rule::Import, "src/service/mod.rs", "use crate::store::memory::MemoryStore;");
    refused(Rule::Import, "src/core/id.rs", "macro_rules! m { () => { $crate::os::SystemClock } }");
}

#[test]
fn an_adapter_that_imports_another_is_refused() {
    refused(Rule::Import, "src/http/mod.rs", "use crate::wire::native::routes;");
    refused(Rule::Import, "src/os.rs", "use crate::store::memory::MemoryStore;");
    refused(Rule::Import, "src/store/memory.rs", "use crate::http::bearer;");
    refused(Rule::Import, "src/testing/laws.rs", "use crate::store::memory::MemoryStore;");
}

#[test]
fn an_import_that_hides_its_ring_is_refused() {
    refused(Rule::Root, "src/service/mod.rs", "use crate::TokenId;");
    refused(Rule::Root, "src/service/mod.rs", "use crate::{core::id::OwnerId, TokenId};");
    refused(Rule::Root, "src/service/mod.rs", "use crate::*;");
    refused(Rule::Root, "src/core/id.rs", "use crate as root;");
    refused(Rule::Root, "src/core/id.rs", "use super::super::ports::clock::Clock;");
    refused(Rule::Root, "src/core/id.rs", "use super::{scope, super::ports::clock::Clock};");
    refused(Rule::Root, "src/core/mod.rs", "use super::ports::clock::Clock;");
}

#[test]
fn a_file_outside_the_rings_is_refused() {
    refused(Rule::Place, "src/util.rs", "");
    refused(Rule::Place, "src/util/text.rs", "");
}

#[test]
fn a_core_file_that_does_more_than_compute_is_refused() {
    for impure in IMPURE {
        refused(Rule::Purity, "src/core/id.rs", &format!("fn f() {{ {impure} }}"));
        accepted("src/os.rs", &format!("fn f() {{ {impure} }}"));
    }
}

#[test]
fn a_file_too_long_to_read_is_refused() {
    let full = "// A line.\n".repeat(MAX_LINES);
    accepted("src/os.rs", &format!("{full}#[cfg(test)]\nmod tests {{\n{full}}}\n"));
    refused(Rule::Length, "src/os.rs", &format!("{full}#[cfg(test)]\nmod tests;\n// More.\n"));
}

#[test]
fn unfinished_work_is_refused() {
    refused(Rule::Unfinished, "src/os.rs", "fn f() { todo!() }");
    refused(Rule::Unfinished, "src/os.rs", "#[cfg(test)]\nmod tests { unimplemented!() }");
    refused(Rule::Unfinished, "src/lib.rs", "// FIXME: this leaks.");
}

#[test]
fn a_file_of_tests_that_ships_is_refused() {
    accepted("src/core/format/tests.rs", "use crate::store::memory::MemoryStore;");
    accepted("src/core/format/mod.rs", "#[cfg(test)]\nmod tests;");
    refused(Rule::Import, "src/core/format/mod.rs", "mod tests;");
}

#[test]
fn what_the_rings_allow_is_accepted() {
    accepted("src/core/id.rs", "use crate::core::{token::*};\npub(crate) use super::scope;");
    accepted("src/ports/store.rs", "use crate::{core::id::TokenId, ports::clock::Clock};");
    accepted("src/service/mod.rs", "pub(in crate::service) fn f(c: crate::ports::C) {}");
    accepted("src/store/sqlite/rows.rs", "use super::super::memory::MemoryStore;");
    accepted("src/wire/native/routes.rs", "use super::codec;\nuse crate::http::bearer;");
    accepted("src/lib.rs", "pub use crate::core::id::TokenId;\nmod util;");
    accepted("src/testing/laws.rs", "macro_rules! m { () => { $crate::TokenId } }");
    accepted("src/core/id.rs", "#[cfg(test)]\nmod tests { use crate::os::C; async fn f() {} }");
}

#[test]
fn comments_and_literals_are_not_code() {
    accepted("src/core/id.rs", "/// crate::os\n// std::env\n/* Mutex\nawait */ fn f() {}");
    accepted("src/core/id.rs", r###"const A: [&str; 2] = ["\"Mutex\\", r#""Mutex""#];"###);
    refused(Rule::Purity, "src/core/id.rs", r###"f("\\", br#"""#, b'"', '\'', '"'); Mutex; "" "###);
    refused(Rule::Purity, "src/core/id.rs", "fn f<'a>(a: &'a u8) { Mutex }");
}

fn refused(rule: Rule, path: &str, text: &str) {
    let found = check(path, text);
    assert!(matches!(found.as_slice(), [(one, _)] if *one == rule), "{path}: {text}\n{found:#?}");
}

fn accepted(path: &str, text: &str) {
    let found = check(path, text);
    assert!(found.is_empty(), "{path}: {text}\n{found:#?}");
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    Import,
    Length,
    Place,
    Purity,
    Root,
    Unfinished,
}

/// The rule that was broken, and for the reader where and by what.
type Violation = (Rule, String);

fn check(path: &str, text: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut report = |rule, line: usize, what| found.push((rule, format!("{path}:{line}: {what}")));
    let place = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    let folder = place.split('/').next().unwrap_or(place);
    // What only tests compile may reach anywhere; whoever declares the file must show that it is.
    let is_tests = place.ends_with("tests");
    let all = tokens(text);
    let (code, test_lines) = without_tests(&all);

    if text.contains("FIXME") {
        report(Rule::Unfinished, 1, "FIXME");
    }
    for (at, token) in all.iter().enumerate() {
        let rest = all.get(at..).unwrap_or_default();
        if begins(rest, "todo!") || begins(rest, "unimplemented!") {
            report(Rule::Unfinished, token.line, token.text);
        }
    }
    let lines = text.lines().count() - test_lines;
    if lines > MAX_LINES && !is_tests {
        report(Rule::Length, lines, "too long");
    }
    // The root names everything, and the guide is prose.
    if is_tests || folder == "lib" || folder == "guide" {
        return found;
    }
    if ring(folder).is_none() {
        report(Rule::Place, 1, "in no ring");
    }

    // The file `core/id.rs` is two below the root and may go up once; `core/mod.rs` may not.
    let depth = place.split('/').count();
    let (mut ups, mut in_use, mut previous) = (0, false, "");
    for (at, token) in code.iter().enumerate() {
        let rest = code.get(at..).unwrap_or_default();
        let after = code.get(at + 1..).unwrap_or_default();
        if let Some(impure) = IMPURE.iter().find(|word| folder == "core" && begins(rest, word)) {
            report(Rule::Purity, token.line, impure);
        }
        match (token.text, after) {
            ("use", _) => in_use = true,
            (";", _) => in_use = false,
            ("mod", [name, end, ..]) if name.text.ends_with("tests") && end.text == ";" => {
                report(Rule::Import, token.line, "tests without `#[cfg(test)]`");
            }
            ("crate", _) if !begins(after, ")") => {
                for target in first_segments(after) {
                    if ring(target).is_some() && !may_import(folder, target) {
                        report(Rule::Import, token.line, target);
                    }
                    // An exported macro names the root: a host's crate sees nothing else.
                    if ring(target).is_none() && previous != "$" {
                        report(Rule::Root, token.line, target);
                    }
                }
            }
            _ => {}
        }
        ups = match token.text {
            "super" => ups + 1,
            "::" => ups,
            _ => 0,
        };
        let in_group = in_use && matches!(previous, "{" | ",");
        if token.text == "super" && (ups >= depth || in_group) {
            report(Rule::Root, token.line, "`super` leaves the folder, or may do so");
        }
        previous = token.text;
    }
    found
}

fn ring(folder: &str) -> Option<u8> {
    match folder {
        "core" => Some(0),
        "ports" => Some(2),
        "service" => Some(3),
        "http" | "import" | "os" | "store" | "testing" | "two_factor" | "wire" => Some(4),
        _ => None,
    }
}

fn may_import(from: &str, to: &str) -> bool {
    from == to || ring(to) < ring(from) || (from, to) == ("wire", "http")
}

/// The first segment of each path that the use tree behind `crate` holds.
fn first_segments<'t>(after: &[Token<'t>]) -> Vec<&'t str> {
    let mut texts = after.iter().map(|token| token.text);
    if texts.next() != Some("::") {
        return vec!["the root itself"];
    }
    let (mut segments, mut depth, mut fresh) = (Vec::new(), 0, true);
    for text in texts {
        match text {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," => fresh = depth == 1,
            _ if fresh => {
                segments.push(text);
                fresh = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    segments
}

/// The tokens outside the items that `#[cfg(test)]` marks, and the number of lines of those items.
fn without_tests<'t>(all: &[Token<'t>]) -> (Vec<Token<'t>>, usize) {
    let (mut kept, mut lines, mut rest) = (Vec::new(), 0, all);
    while let Some((first, after)) = rest.split_first() {
        if begins(rest, "#[cfg(test)]") {
            let (item, behind) = rest.split_at(item_length(rest));
            lines += item.last().map_or(0, |last| last.line + 1 - first.line);
            rest = behind;
        } else {
            kept.push(*first);
            rest = after;
        }
    }
    (kept, lines)
}

/// Up to the first `;` or `,` outside brackets, or to the end of the first block.
fn item_length(item: &[Token<'_>]) -> usize {
    let mut depth = 0;
    for (before, token) in item.iter().enumerate() {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 0 => return before,
            "}" if depth == 1 => return before + 1,
            ")" | "]" | "}" => depth -= 1,
            ";" | "," if depth == 0 => return before + 1,
            _ => {}
        }
    }
    item.len()
}

#[derive(Clone, Copy)]
struct Token<'t> {
    line: usize,
    text: &'t str,
}

fn begins(code: &[Token<'_>], phrase: &str) -> bool {
    // Cheap, and mostly the answer.
    if !code.first().is_some_and(|first| phrase.starts_with(first.text)) {
        return false;
    }
    let phrase = tokens(phrase);
    code.len() >= phrase.len() && code.iter().zip(&phrase).all(|(is, to)| is.text == to.text)
}

/// Words, `::` and single signs; comments and literals are left out.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let (mut found, mut line, mut rest) = (Vec::new(), 1, text);
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (length, is_token) = match silent_length(rest) {
            Some(length) => (length, false),
            None if word > 0 => (word, true),
            None if rest.starts_with("::") => (2, true),
            None => (first.len_utf8(), !first.is_whitespace()),
        };
        let (token, after) = rest.split_at(length);
        if is_token {
            found.push(Token { line, text: token });
        }
        line += token.matches('\n').count();
        rest = after;
    }
    found
}

/// The length of the comment or literal that `rest` begins with.
fn silent_length(rest: &str) -> Option<usize> {
    let end_of = |from: usize, closing: &str| {
        let at = rest.get(from..).and_then(|body| body.find(closing));
        Some(at.map_or(rest.len(), |at| from + at + closing.len()))
    };
    if rest.starts_with("//") {
        return end_of(2, "\n");
    }
    // What follows a comment inside a comment counts as code.
    if rest.starts_with("/*") {
        return end_of(2, "*/");
    }
    let raw = rest.trim_start_matches(['b', 'c']).strip_prefix('r').unwrap_or_default();
    let body = raw.trim_start_matches('#');
    if body.starts_with('"') {
        let hashes = "#".repeat(raw.len() - body.len());
        return end_of(rest.len() - body.len() + 1, &format!("\"{hashes}"));
    }
    // A single quote that neither escapes nor closes behind one character opens a lifetime.
    let mut signs = rest.chars();
    match (signs.next(), signs.next(), signs.next()) {
        (Some('\''), Some('\\'), _) | (Some('\''), _, Some('\'')) | (Some('"'), ..) => {}
        _ => return None,
    }
    let (mut escaped, quote) = (false, rest.chars().next());
    let end = rest.char_indices().skip(1).find(|(_, sign)| {
        let closes = Some(*sign) == quote && !escaped;
        escaped = *sign == '\\' && !escaped;
        closes
    });
    Some(end.map_or(rest.len(), |(at, _)| at + 1))
}

/// Beyond this, a file is split by verb.
const MAX_LINES: usize = 350;

/// Effects, and what only effects or shared state need.
#[rustfmt::skip]
const IMPURE: [&str; 14] = [
    "Arc<", "Instant::now", "Mutex", "RwLock", "SystemTime", "Utc::now", "async ", "await",
    "eprintln!", "println!", "rand::rng", "rand::rngs", "std::env", "tracing::",
];
