//! The documents tell the truth: tables, links, names and figures, against the sources.

#![allow(clippy::unwrap_used)]

#[path = "documents/defaults.rs"]
mod defaults;
#[path = "documents/reading.rs"]
mod reading;

use reading::{Manifest, below, code_spans, flat, read, rows, section, slugs};
use std::collections::BTreeSet;
use std::path::Path;

fn set<T: Into<String>>(names: impl IntoIterator<Item = T>) -> BTreeSet<String> {
    names.into_iter().map(Into::into).collect()
}

/// The page of the crate: the comment at its root.
fn crate_page() -> String {
    let lines = read("src/lib.rs");
    let lines = lines.lines().map_while(|line| line.strip_prefix("//!"));
    let lines = lines.map(|line| line.strip_prefix(' ').unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

/// All documents in Markdown.
fn documents() -> Vec<String> {
    let written = |file: &String| {
        file.ends_with(".md") && !file.starts_with("target/") && !file.contains("/node_modules/")
    };
    below(".").into_iter().filter(written).collect()
}

#[test]
fn the_tables_of_features_have_those_of_the_manifest() {
    let manifest = Manifest::read("Cargo.toml");
    let features = manifest.names("features");
    let (default, others) = (manifest.array("features", "default"), set(features));
    let others: BTreeSet<_> = others.into_iter().filter(|f| f != "default").collect();

    let readme = rows(section(&read("README.md"), "Features"));
    let readme = readme.iter().filter(|row| row[0] != "none of them");
    let (mut named, mut on) = (BTreeSet::new(), BTreeSet::new());
    for row in readme {
        let name = code_spans(&row[0]).remove(0);
        on.extend(row[0].contains("(default)").then(|| name.clone()));
        named.insert(name);
    }
    assert_eq!((named, on), (others.clone(), set(default.clone())));

    let page = rows(section(&crate_page(), "Features and TLS"));
    let on = page.iter().filter(|row| row[1] == "yes");
    let on = on.map(|row| row[0].trim_matches('`'));
    assert_eq!(set(on), set(default));
    assert_eq!(set(page.iter().map(|row| row[0].trim_matches('`'))), others);

    let changelog = read("CHANGELOG.md");
    for feature in &others {
        assert!(changelog.contains(&format!("`{feature}`")), "{feature}");
    }
}

#[test]
fn the_table_of_dependencies_has_those_of_the_manifest() {
    let manifest = Manifest::read("Cargo.toml");
    let mut all = set(manifest.names("dependencies"));
    all.extend(manifest.names("target.'cfg(unix)'.dependencies"));
    let table = rows(section(&read("README.md"), "Dependencies"));
    let named = table.iter().flat_map(|row| code_spans(&row[0]));
    assert_eq!(set(named), all);
    for row in table {
        let required = |name: &String| !manifest.is_optional(name);
        let optional = !code_spans(&row[0]).iter().any(required);
        assert_eq!(row[1].contains("optional"), optional, "{}", row[0]);
    }
}

#[test]
fn the_minimum_version_of_rust_is_that_of_the_manifest() {
    let manifest = Manifest::read("Cargo.toml");
    let version = manifest.text("package", "rust-version");
    // COMPARE.md tells what others need.
    for file in documents()
        .iter()
        .filter(|file| !file.ends_with("COMPARE.md"))
    {
        let text = flat(&read(file));
        for (at, _) in text.match_indices("Rust 1.") {
            assert!(
                text[at + 5..].starts_with(&version),
                "{file} names another Rust"
            );
        }
    }
    let readme = flat(&read("README.md"));
    assert!(readme.contains(&format!("minimum Rust version is {version}.")));
    assert!(readme.contains(&format!("need Rust {version},")));
}

#[test]
fn every_example_is_in_the_readme_with_its_command() {
    let manifest = Manifest::read("Cargo.toml");
    let defaults = manifest.array("features", "default");
    let readme = read("README.md");
    let mut count = 0;
    for file in below("examples") {
        let Some(name) = Path::new(&file).file_stem().and_then(|stem| stem.to_str()) else {
            continue;
        };
        if Path::new(&file).parent() != Some(Path::new("examples")) || !file.ends_with(".rs") {
            continue;
        }
        count += 1;
        let row = readme
            .lines()
            .find(|line| line.starts_with("| [`cargo") && line.contains(&format!("({file})")));
        let row = row.unwrap_or_else(|| panic!("{file} is not in the README"));
        assert!(
            row.contains(&format!("cargo run --example {name}")),
            "{row}"
        );
        let needed = manifest.required_features("example", name);
        let needed = needed.iter().filter(|feature| !defaults.contains(feature));
        for feature in needed {
            assert!(row.contains(&format!("--features {feature}")), "{row}");
        }
        let first = read(&file);
        let first = first.lines().next().unwrap().to_owned();
        let says =
            first.starts_with("//! cargo run") && first.contains(&format!("--example {name}"));
        assert!(says, "{file} begins with {first}");
    }
    assert!(count > 5);
}

#[test]
fn links_lead_to_files_and_headings_that_exist() {
    let mut count = 0;
    for file in documents() {
        let text = read(&file);
        for target in reading::links(&text) {
            if target.contains("://") || target.starts_with("crate") || target.contains("::") {
                continue; // The latter two are rustdoc's to check.
            }
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let folder = Path::new(&file).parent().unwrap();
            let path = match path {
                "" => Path::new(&file).to_owned(),
                path => folder.join(path),
            };
            assert!(path.exists(), "{file} has a link to {target}");
            if !anchor.is_empty() {
                let headings = slugs(&read(path.to_str().unwrap()));
                assert!(headings.contains(anchor), "{file} has a link to {target}");
            }
            count += 1;
        }
    }
    assert!(count > 30);
}

/// What looks like a file or a folder of this project: `src/uri.rs`, `tests/`, `.ci/run`.
fn is_path(span: &str) -> bool {
    let folders = [
        ".ci/",
        "benches/",
        "docs/",
        "examples/",
        "fuzz/",
        "src/",
        "tests/",
    ];
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    span.chars().all(plain)
        && (folders.iter().any(|folder| span.starts_with(folder)) || span.ends_with(".rs"))
}

#[test]
fn files_that_the_documents_name_exist() {
    let files = below(".");
    let exists = |span: &str| {
        let span = span.trim_end_matches('/');
        Path::new(span).exists() || files.iter().any(|file| file.ends_with(&format!("/{span}")))
    };
    let mut count = 0;
    // Most files that COMPARE.md names are those of other projects.
    for document in documents()
        .iter()
        .filter(|file| !file.ends_with("COMPARE.md"))
    {
        for span in code_spans(&read(document)) {
            let span = span.split(' ').next().unwrap_or_default();
            if is_path(span) {
                assert!(exists(span), "{document} names {span}");
                count += 1;
            }
        }
    }
    assert!(count > 20);
}

#[test]
fn each_chapter_of_the_guide_is_there_and_linked() {
    let (module, page) = (read("src/guide.rs"), crate_page());
    let mut count = 0;
    for file in below("docs/guide") {
        let file = file.trim_start_matches("docs/guide/").to_owned();
        let line = module
            .lines()
            .find(|line| line.ends_with(&format!("\"{file}\"")));
        let line = line.unwrap_or_else(|| panic!("{file} is no chapter"));
        let name = line.split_whitespace().next().unwrap();
        assert!(module.contains(&format!("//! | [{name}] |")), "{name}");
        assert!(page.contains(&format!("(guide::{name})")), "{name}");
        let text = read(&format!("docs/guide/{file}"));
        assert!(text.contains("](crate::"), "{file} leads to no reference");
        let warns =
            text.contains("\n## Pitfalls\n") || text.contains("\n## What behaves differently\n");
        assert!(warns, "{file}");
        count += 1;
    }
    assert!(count >= 14);
}

#[test]
fn the_table_of_levels_tells_of_all_that_is_logged() {
    let table = rows(section(&crate_page(), "Logging"));
    let row = |level: &str| {
        let row = table.iter().find(|row| row[0] == level);
        row.unwrap_or_else(|| panic!("no level {level}"))[1].clone()
    };
    let mut logged = BTreeSet::new();
    for file in below("src") {
        if file.starts_with("src/bin/") || file.contains("test") {
            continue;
        }
        for (level, text) in reading::log_calls(&read(&file)) {
            let known = defaults::LOGGED
                .iter()
                .find(|(start, _)| text.starts_with(start));
            let (_, told) =
                known.unwrap_or_else(|| panic!("{file} logs {text:?}: where is it told?"));
            assert!(row(&level).contains(told), "{level}: {told}");
            logged.insert(level);
        }
    }
    for level in ["error", "warn", "info", "debug", "trace"] {
        assert_eq!(row(level) == "nothing", !logged.contains(level), "{level}");
    }
}

#[test]
fn the_tables_of_limits_and_defaults_have_the_real_values() {
    let real = defaults::of_the_readme();
    let table = rows(section(&read("README.md"), "Limits and defaults"));
    let told: Vec<_> = table
        .iter()
        .map(|row| {
            (
                row[1].trim_matches('`').to_owned(),
                row[2].clone(),
                row[3].clone(),
            )
        })
        .collect();
    for (setting, client, server) in &told {
        if setting.contains(' ') || setting == "fixed" {
            continue;
        }
        let real = real.iter().find(|(name, ..)| name == setting);
        let (_, c, s) = real.unwrap_or_else(|| panic!("{setting} is not known here"));
        assert_eq!((client, server), (c, s), "{setting}");
    }
    for (setting, ..) in real {
        assert!(
            told.iter().any(|row| row.0 == setting),
            "{setting} has no row"
        );
    }
    defaults::check_fixed(&table);
}

#[test]
fn the_tables_of_defaults_in_the_guide_have_the_real_values() {
    let real = defaults::of_the_readme();
    let client = |name: &str| {
        let found = real.iter().find(|(setting, ..)| setting == name);
        found
            .unwrap_or_else(|| panic!("{name} is not known here"))
            .1
            .clone()
    };
    let mut count = 0;
    let timeouts = read("docs/guide/05-timeouts.md");
    for row in rows(section(&timeouts, "Timeouts and keepalive")) {
        let setting = code_spans(&row[1]).remove(0);
        let setting = match setting.split_once("::").unwrap() {
            ("ClientBuilder", _) => setting,
            ("SocketOptions", _) => "socket".into(),
            (group, name) => format!("{}.{name}", group.to_ascii_lowercase()),
        };
        assert_eq!(row[2], client(&setting), "{setting}");
        count += 1;
    }
    assert!(count > 6);
    let compression = read("docs/guide/08-compression.md");
    let compression = rows(section(&compression, "What it costs"));
    assert_eq!(
        compression
            .iter()
            .map(|row| row[1].as_str())
            .collect::<Vec<_>>(),
        defaults::of_compression()
    );
}

#[test]
fn the_rows_of_the_readme_are_those_of_the_comparison() {
    let (readme, compare) = (read("README.md"), read("docs/COMPARE.md"));
    let ours = section(&readme, "Why")
        .lines()
        .filter(|line| line.starts_with("| "));
    // Its table of all rows has the same head.
    let head = ours.clone().next().unwrap();
    if compare.lines().any(|line| line == head) {
        for row in ours {
            assert!(compare.lines().any(|line| line == row), "{row}");
        }
    }
}

#[test]
fn the_figures_of_the_list_stand_where_it_says() {
    let list = read("docs/FIGURES.md");
    let (mut file, mut count) = (String::new(), 0);
    for line in list.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            file = heading.trim_matches('`').to_owned();
        }
        let cells = reading::cells(line);
        let quotation = match cells.as_slice() {
            [quotation, command] if quotation.starts_with('"') => {
                assert!(!command.is_empty(), "{line}");
                quotation.trim_matches('"')
            }
            _ => continue,
        };
        let text = match file.as_str() {
            "src/lib.rs" => crate_page(),
            file => read(file),
        };
        assert!(
            flat(&text).contains(&flat(quotation)),
            "{file}: {quotation}"
        );
        count += 1;
    }
    assert!(count > 40, "{count}");
}

#[test]
fn no_source_file_has_more_than_500_lines() {
    let folders = ["src", "tests", "examples", "benches", "fuzz"];
    let files = folders.iter().flat_map(|folder| below(folder));
    for file in files.filter(|file| file.ends_with(".rs") && !file.contains("/target/")) {
        let lines = read(&file).lines().count();
        assert!(lines <= 500, "{file} has {lines} lines");
    }
}
