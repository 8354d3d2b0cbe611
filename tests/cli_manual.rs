//! The man pages and the completions, and the help that they are made of.

#![allow(clippy::unwrap_used)]

mod cli;
mod common;

use cli::run;
use common::watchdog;

const COMMANDS: [&str; 7] = [
    "connect",
    "serve",
    "bench",
    "record",
    "replay",
    "completions",
    "man",
];

#[test]
fn each_shell_gets_a_script_that_knows_the_commands() {
    watchdog(60, || {
        for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
            let said = run(&["completions", shell], b"");
            assert_eq!(said.status, 0, "{said:?}");
            for word in COMMANDS.iter().chain(&["subprotocol"]) {
                assert!(said.out.contains(word), "{shell}: no {word}");
            }
        }
        assert_eq!(run(&["completions", "basic"], b"").status, 2);
    });
}

#[test]
fn a_page_has_the_sections_that_are_looked_for() {
    watchdog(60, || {
        let page = run(&["man"], b"").out;
        let sections: Vec<_> = page
            .lines()
            .filter_map(|line| line.strip_prefix(".SH "))
            .collect();
        for section in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "\"EXIT STATUS\"",
            "ENVIRONMENT",
            "FILES",
            "EXAMPLES",
        ] {
            assert!(sections.contains(&section), "{sections:?}");
        }
    });
}

#[test]
fn each_command_gets_a_page_with_examples() {
    watchdog(60, || {
        let folder = std::env::temp_dir().join(format!("wsync-man-{}", std::process::id()));
        let said = run(&["man", folder.to_str().unwrap()], b"");
        assert_eq!(said.status, 0, "{said:?}");
        for command in COMMANDS {
            let page = std::fs::read_to_string(folder.join(format!("wsync-{command}.1"))).unwrap();
            assert!(page.contains(".SH SYNOPSIS"), "{command}");
        }
        let page = std::fs::read_to_string(folder.join("wsync-connect.1")).unwrap();
        assert!(
            page.contains(".SH EXAMPLES") && page.contains("wsync connect wss://"),
            "{page}"
        );
        assert!(folder.join("wsync.1").exists());
        std::fs::remove_dir_all(&folder).unwrap();
        let said = run(&["man", "/proc/nowhere"], b"");
        assert_eq!(said.status, 2, "{said:?}");
    });
}

#[test]
fn help_goes_out_and_mistakes_are_told_apart_from_it() {
    watchdog(60, || {
        let help = run(&["connect", "--help"], b"");
        assert!(
            help.status == 0 && help.out.contains("EXAMPLES"),
            "{help:?}"
        );
        for heading in [
            "On a terminal",
            "In a pipe",
            "Request",
            "Connection",
            "TLS",
            "Bounds",
            "Reconnect",
        ] {
            assert!(
                cfg!(not(unix)) || help.out.contains(&format!("\n{heading}:\n")),
                "{heading}"
            );
        }
        let mistake = run(&["conect"], b"");
        assert!(
            mistake.status == 2 && mistake.err.contains("'connect'"),
            "{mistake:?}"
        );
    });
}
