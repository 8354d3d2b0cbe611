//! What describes the command: the man pages and completions, made of its arguments.

use crate::failure::Failure;
use clap_complete::Shell;
use clap_mangen::Man as Page;
use clap_mangen::roff::{Roff, bold, roman};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write, stdout};
use std::path::{Path, PathBuf};

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
    pages(&command, dir)
}

/// The page of a command, and those of its commands.
fn pages(command: &clap::Command, dir: &Path) -> Result<(), Failure> {
    let path = dir.join(Page::new(command.clone()).get_filename());
    let page = File::create(&path).and_then(|mut file| write(command, &mut file));
    page.map_err(|e| Failure::file(&path, &e))?;
    let mut own = command.get_subcommands();
    own.try_for_each(|command| match command.get_name() {
        "help" => Ok(()),
        _ => pages(command, dir),
    })
}

fn write(command: &clap::Command, out: &mut dyn Write) -> io::Result<()> {
    let version = concat!("wsync ", env!("CARGO_PKG_VERSION"));
    let page = Page::new(command.clone())
        .source(version)
        .manual("User Commands");
    page.render_title(out)?;
    page.render_name_section(out)?;
    // The page's own would name each option.
    let usage = command.clone().render_usage().to_string();
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([roman(usage.trim_start_matches("Usage: "))]);
    roff.to_writer(out)?;
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
    let after = command.get_after_help().map(ToString::to_string);
    notes(after.as_deref().unwrap_or_default(), &mut roff);
    roff.to_writer(out)
}

/// What stands behind the options in the help.
fn notes(after: &str, roff: &mut Roff) {
    let (notes, examples) = after.split_once("EXAMPLES\n").unwrap_or((after, ""));
    // They have a section of their own.
    let notes = notes.trim();
    if !notes.is_empty() && !notes.starts_with("Exit status") {
        roff.control("SH", ["NOTES"]);
        roff.text([roman(notes)]);
    }
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
        roff.control("nf", []);
        for example in examples.lines() {
            roff.text([roman(example.strip_prefix("  ").unwrap_or(example))]);
        }
        roff.control("fi", []);
    }
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
