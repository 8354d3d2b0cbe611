//! What describes the command: the man pages and completions, made of its arguments.

use crate::failure::Failure;
use clap_complete::Shell;
use clap_mangen::Man as Page;
use clap_mangen::roff::{Roff, bold, roman};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write, stdout};
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Completions {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(clap::Args)]
pub(crate) struct Man {
    /// Write a page for each command into this folder
    dir: Option<PathBuf>,
}

pub(crate) const COMPLETIONS_EXAMPLES: &str = "\
EXAMPLES
  wsync completions bash >~/.local/share/bash-completion/completions/wsync
  wsync completions fish >~/.config/fish/completions/wsync.fish";

pub(crate) const MAN_EXAMPLES: &str = "\
EXAMPLES
  wsync man | man -l -
  wsync man ~/.local/share/man/man1";

/// What is the same on every page: the section, its entries, and what they mean.
type Section = (&'static str, &'static [(&'static str, &'static str)]);

const SECTIONS: [Section; 3] = [
    (
        "EXIT STATUS",
        &[
            ("0", "The connection was closed normally."),
            (
                "1",
                "There was no connection: it was refused, or took too long.",
            ),
            (
                "2",
                "The arguments make no sense, or a file cannot be read or written.",
            ),
            (
                "3",
                "The connection ended in another way than by a normal close.",
            ),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            (
                "WSYNC_PASSWORD",
                "The password of --user and --digest, where they have none.",
            ),
            (
                "WSS_PROXY, HTTPS_PROXY, WS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY",
                "The proxy, where --proxy names none, and what is reached without one; in lower case, too.",
            ),
            (
                "NO_COLOR, CLICOLOR_FORCE",
                "No colours, or colours also where there is no terminal.",
            ),
            (
                "XDG_STATE_HOME",
                "The folder of the history; ~/.local/state if it is not set.",
            ),
        ],
    ),
    (
        "FILES",
        &[(
            "~/.local/state/wsync/history",
            "The lines that were typed at wsync connect. Nobody else can read it.",
        )],
    ),
];

pub(crate) fn completions(
    arguments: &Completions,
    mut command: clap::Command,
) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "wsync", &mut script);
    written(stdout().write_all(&script))
}

pub(crate) fn man(arguments: &Man, command: clap::Command) -> Result<(), Failure> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let Some(dir) = &arguments.dir else {
        let mut page = Vec::new();
        written(write(&command, &mut page))?;
        return written(stdout().write_all(&page));
    };
    fs::create_dir_all(dir).map_err(|e| Failure::file(dir, &e))?;
    for command in command.get_subcommands().chain([&command]) {
        let path = dir.join(Page::new(command.clone()).get_filename());
        let page = File::create(&path).and_then(|mut file| write(command, &mut file));
        page.map_err(|e| Failure::file(&path, &e))?;
    }
    Ok(())
}

/// One page.
fn write(command: &clap::Command, out: &mut dyn Write) -> io::Result<()> {
    // What stands behind the options in the help has a section of its own here.
    let examples = command
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let page = Page::new(command.clone()).manual("User Commands");
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    page.render_options_section(out)?;
    if command.has_subcommands() {
        page.render_subcommands_section(out)?;
    }
    let mut roff = Roff::new();
    for (name, entries) in SECTIONS {
        roff.control("SH", [name]);
        for (term, meaning) in entries {
            roff.control("TP", []);
            roff.text([bold(*term)]);
            roff.text([roman(*meaning)]);
        }
    }
    if let Some((before, examples)) = examples.split_once("EXAMPLES\n") {
        if !before.trim().is_empty() {
            roff.control("SH", ["NOTES"]);
            roff.text([roman(before.trim())]);
        }
        roff.control("SH", ["EXAMPLES"]);
        for example in examples.lines() {
            roff.control("PP", []);
            roff.control("nf", []);
            roff.text([roman(example.trim())]);
            roff.control("fi", []);
        }
    }
    roff.to_writer(out)
}

/// Whoever reads may have had enough.
fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Usage(format!("standard output: {e}")))
        }
        _ => Ok(()),
    }
}
