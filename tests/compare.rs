//! Keeps docs/COMPARE.md whole: its table and its sections, the tests that it names, what the README takes from it.
//! With `--ignored` it runs those that show other libraries.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "interop/process.rs"]
mod process;
#[path = "compare/tungstenite.rs"]
mod tungstenite;

use common::LATE;
use process::Peer;
use std::fs;
use std::path::{Path, PathBuf};

const COMPARE: &str = include_str!("../docs/COMPARE.md");
const README: &str = include_str!("../README.md");
const PROJECTS: [&str; 5] = [
    "wsync",
    "websockets",
    "tungstenite",
    "IXWebSocket",
    "gorilla",
];

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The lines of the table whose columns are the projects, without its head.
fn table(text: &'static str) -> Vec<&'static str> {
    let head = format!("| | {} |", PROJECTS.join(" | "));
    let mut lines = text.lines().skip_while(|line| *line != head).skip(1);
    assert!(lines.next().is_some_and(|line| line.starts_with("|---")));
    lines.take_while(|line| line.starts_with('|')).collect()
}

fn cells(row: &str) -> Vec<&str> {
    let row = row
        .strip_prefix("| ")
        .and_then(|row| row.strip_suffix(" |"));
    row.unwrap().split(" | ").collect()
}

/// What is said of each project under each heading.
fn sections() -> Vec<(&'static str, Vec<String>)> {
    let split = COMPARE.split("\n### ").skip(1);
    split
        .map(|section| {
            let (title, body) = section.split_once("\n\n").unwrap();
            let items = body.trim().replace("\n  ", " ");
            (title, items.lines().map(str::to_owned).collect())
        })
        .collect()
}

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn each_row_has_a_cell_and_evidence_for_each_project() {
    let sections = sections();
    let titles: Vec<_> = sections.iter().map(|section| section.0).collect();
    let rows: Vec<_> = table(COMPARE).into_iter().map(cells).collect();
    assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), titles);
    for (row, (title, items)) in rows.iter().zip(&sections) {
        assert_eq!(row.len(), 1 + PROJECTS.len(), "{title}");
        assert!(row.iter().all(|cell| !cell.trim().is_empty()), "{title}");
        assert_eq!(items.len(), PROJECTS.len(), "{title}");
        for (item, name) in items.iter().zip(PROJECTS) {
            let marks = match name {
                "wsync" => [":", ":", ":"],
                _ => [", run:", ", by hand:", ", read:"],
            };
            let said = item.strip_prefix(&format!("- **{name}**"));
            let marked = said.is_some_and(|said| marks.iter().any(|mark| said.starts_with(mark)));
            assert!(marked, "{title}: {item}");
        }
    }
}

#[test]
fn what_is_named_is_there() {
    let mut named = 0;
    for (title, items) in sections() {
        let is_path = |name: &&str| name.contains(['.', '/', '-']) && !name.contains(' ');
        let ours: Vec<_> = quoted(&items[0]).filter(is_path).collect();
        assert!(!ours.is_empty(), "{title}: nothing of wsync is named");
        for name in ours.iter().filter(|name| !name.contains("::")) {
            assert!(project(name).exists(), "{title}: {name}");
        }
        for item in &items {
            let is_test_name = |name: &&str| name.contains(".rs::") || name.contains(".py::");
            let tests: Vec<_> = quoted(item).filter(is_test_name).collect();
            assert_eq!(
                item.contains("**, run:"),
                !tests.is_empty() && !is_ours(item),
                "{title}: {item}"
            );
            for test in &tests {
                assert!(is_test(test, is_ours(item)), "{title}: {test}");
            }
            named += tests.len();
        }
    }
    assert!(named > 100, "{named}");
}

fn is_ours(item: &str) -> bool {
    item.starts_with("- **wsync**")
}

/// Whether the function is there, below an attribute that makes it a test, or in a test case of Python.
fn is_test(name: &str, ours: bool) -> bool {
    let (file, function) = name.split_once("::").unwrap();
    let file = match (ours, file.starts_with("src/")) {
        (true, true) => project(file),
        (true, false) => project("tests").join(file),
        (false, _) => project("tests/compare").join(file),
    };
    let Ok(text) = fs::read_to_string(&file) else {
        return false;
    };
    if name.contains(".py::") {
        return text.contains(&format!("def {function}(self)"));
    }
    let function = format!("fn {function}()");
    let mut tests = text.split("#[test]").skip(1);
    tests.any(|test| {
        let declared = test.lines().map(str::trim_start);
        let mut declared = declared.filter(|line| !line.starts_with("#[") && !line.is_empty());
        declared
            .next()
            .is_some_and(|line| line.starts_with(&function))
    })
}

#[test]
fn the_rows_of_the_readme_are_rows_of_the_comparison() {
    let all = table(COMPARE);
    let others: Vec<_> = table(README)
        .into_iter()
        .filter(|row| !all.contains(row))
        .map(|row| {
            let same = all.iter().find(|other| cells(other)[0] == cells(row)[0]);
            format!("{row}\nshould be\n{}", same.unwrap_or(&"not there"))
        })
        .collect();
    assert!(others.is_empty(), "{}", others.join("\n\n"));
}

/// Runs the tests of a file of tests/compare, which has to have some.
fn python(file: &str) {
    let file = project("tests/compare").join(file);
    let arguments = ["-B".as_ref(), file.as_os_str()];
    let mut peer = Peer::start("venv/bin/python", &arguments);
    let status = peer.wait(3 * LATE);
    assert!(status.success(), "{status}");
}

#[test]
#[ignore = "needs Python: .ci/run installs it"]
fn python_with_threads_does_what_is_said() {
    python("websockets_sync.py");
}

#[test]
#[ignore = "needs Python: .ci/run installs it"]
fn python_with_asyncio_does_what_is_said() {
    python("websockets_asyncio.py");
}
