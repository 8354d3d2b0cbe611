//! What tests of documents read: Markdown, the manifest, sources.

use std::collections::BTreeSet;
use std::path::Path;

/// A file of the project, in whose folder tests run.
pub(crate) fn read(file: &str) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// All files below a folder, without what is built, fetched or hidden.
pub(crate) fn below(folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let path = path.to_str().unwrap().trim_start_matches("./").to_owned();
        let name = path.rsplit('/').next().unwrap();
        match name {
            "target" | "node_modules" | "corpus" | "cache" => {}
            name if name.starts_with('.') && name != ".ci" => {}
            _ if Path::new(&path).is_dir() => files.extend(below(&path)),
            _ => files.push(path),
        }
    }
    files.sort();
    files
}

/// With one space where there is white space, and without marks of emphasis and code.
pub(crate) fn flat(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").replace(['`', '*'], "")
}

/// What stands below a heading, up to the next of its level or a higher one.
pub(crate) fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let level = |line: &str| line.bytes().take_while(|b| *b == b'#').count();
    let (mut at, mut begin, mut depth) = (0, None, 0);
    for line in text.split_inclusive('\n') {
        let this = level(line);
        let is_heading = this > 0 && line[this..].starts_with(' ');
        match begin {
            None if is_heading && line[this..].trim() == heading => {
                (begin, depth) = (Some(at + line.len()), this);
            }
            // A hidden line of code begins like a heading of the first level.
            Some(begin) if is_heading && this <= depth && (this > 1 || depth == 1) => {
                return &text[begin..at];
            }
            _ => {}
        }
        at += line.len();
    }
    &text[begin.unwrap_or_else(|| panic!("there is no heading {heading:?}"))..]
}

/// The cells of a line of a table. A bar within one stands behind a backslash.
pub(crate) fn cells(line: &str) -> Vec<String> {
    let line = line.trim();
    let Some(line) = line
        .strip_prefix('|')
        .and_then(|line| line.strip_suffix('|'))
    else {
        return Vec::new();
    };
    let line = line.replace("\\|", "\u{1}");
    let cells = line
        .split('|')
        .map(|cell| cell.trim().replace('\u{1}', "|"));
    cells.collect()
}

/// The rows of the first table, without its head.
pub(crate) fn rows(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().skip_while(|line| !line.starts_with('|'));
    let lines = lines.take_while(|line| line.starts_with('|'));
    let rows: Vec<_> = lines.skip(2).map(cells).collect();
    assert!(!rows.is_empty(), "there is no table");
    rows
}

/// Without blocks of code.
fn prose(text: &str) -> String {
    let mut code = false;
    let mut prose = String::new();
    for line in text.lines() {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        if !code && !fence && !line.starts_with("    ") {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
}

/// What stands between backticks.
pub(crate) fn code_spans(text: &str) -> Vec<String> {
    let prose = prose(text);
    let spans = prose.split('`').skip(1).step_by(2);
    spans.map(str::to_owned).collect()
}

/// The targets of inline links, and of those that are defined below.
pub(crate) fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let inline = prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let defined = prose.lines().filter(|line| line.starts_with('['));
    let defined = defined.filter_map(|line| Some(line.split_once("]: ")?.1.trim()));
    inline.chain(defined).map(str::to_owned).collect()
}

/// The anchors of headings, as GitHub makes them.
pub(crate) fn slugs(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let slug = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}

/// Level and text of what a source logs.
pub(crate) fn log_calls(source: &str) -> Vec<(String, String)> {
    let call = |rest: &str| {
        let (level, rest) = rest.split_once("!(")?;
        Some((
            level.to_owned(),
            rest.trim_start()
                .strip_prefix('"')?
                .split('"')
                .next()?
                .to_owned(),
        ))
    };
    source.split("log::").skip(1).filter_map(call).collect()
}

/// A manifest, as far as these tests need one: each line belongs to the section above it.
pub(crate) struct Manifest(Vec<(String, String)>);

impl Manifest {
    pub(crate) fn read(file: &str) -> Self {
        let mut section = String::new();
        let mut lines = Vec::new();
        for line in read(file).lines().filter(|line| !line.starts_with('#')) {
            if line.starts_with('[') {
                section = line.trim_matches(['[', ']']).to_owned();
                // Several have the same name.
                lines.push((section.clone(), String::new()));
            }
            lines.push((section.clone(), line.to_owned()));
        }
        Manifest(lines)
    }

    fn lines<'a>(&'a self, section: &str) -> impl Iterator<Item = &'a str> {
        let lines = self.0.iter().filter(move |(of, _)| of == section);
        lines.map(|(_, line)| line.as_str())
    }

    /// The keys of a section.
    pub(crate) fn names(&self, section: &str) -> Vec<String> {
        let lines = self
            .lines(section)
            .filter(|line| !line.starts_with([' ', ']', '[', '}']));
        let names = lines.filter_map(|line| Some(line.split_once(" = ")?.0.to_owned()));
        names.collect()
    }

    /// The value of a key, over all its lines.
    pub(crate) fn text(&self, section: &str, key: &str) -> String {
        let mut lines = self
            .lines(section)
            .skip_while(|line| !line.starts_with(&format!("{key} = ")));
        let first = lines
            .next()
            .unwrap_or_else(|| panic!("no {key} in {section}"));
        let more = lines.take_while(|line| line.starts_with([' ', ']']));
        let value = [first].into_iter().chain(more).collect::<String>();
        value[key.len() + 3..].trim_matches('"').to_owned()
    }

    /// The strings of an array.
    pub(crate) fn array(&self, section: &str, key: &str) -> Vec<String> {
        let text = self.text(section, key);
        text.split('"')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    }

    pub(crate) fn is_optional(&self, dependency: &str) -> bool {
        let sections = ["dependencies", "target.'cfg(unix)'.dependencies"];
        let section = sections
            .iter()
            .find(|section| self.names(section).iter().any(|n| n == dependency));
        self.text(section.unwrap(), dependency)
            .contains("optional = true")
    }

    /// Those of an example, or of another target.
    pub(crate) fn required_features(&self, kind: &str, name: &str) -> Vec<String> {
        let lines: Vec<_> = self.lines(kind).collect();
        let targets = lines.split(|line| line.is_empty());
        let named = format!("name = \"{name}\"");
        let mut target = targets
            .filter(|lines| lines.contains(&named.as_str()))
            .flatten();
        let features = target.find(|line| line.starts_with("required-features"));
        let features = features.unwrap_or(&"").split('"').skip(1).step_by(2);
        features.map(str::to_owned).collect()
    }
}
