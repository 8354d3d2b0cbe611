//! What docs/SCALING.md shows of load balancers is what `cluster` runs.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

/// What the script fills in.
const FILLED_IN: [&str; 2] = ["server ", "bind "];

#[test]
fn the_configurations_in_the_docs_are_those_of_the_cluster() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(here.join("../../docs/SCALING.md")).unwrap();
    for (language, file) in [("haproxy", "haproxy.cfg"), ("nginx", "nginx.conf")] {
        let template = fs::read_to_string(here.join("cluster.d").join(file)).unwrap();
        let template = template.replace("$$", "$");
        let known: Vec<_> = template.lines().map(str::trim).collect();
        let block = page.split(&format!("```{language}\n")).nth(1).unwrap();
        let block = block.split("```").next().unwrap();
        for line in block.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let filled_in = FILLED_IN.iter().any(|word| line.starts_with(word));
            assert!(
                filled_in || known.contains(&line),
                "{file} has no line {line:?}"
            );
        }
    }
}
