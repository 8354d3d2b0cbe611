//! The command `wsync`: WebSockets from the shell.

mod bench;
mod client_options;
mod connect;
mod failure;
mod interrupt;
mod logs;
mod manual;
mod record;
mod recording;
mod replay;
mod serve;
mod server_options;
mod show;

use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Exit status: 0 closed normally, 1 not connected, 2 usage, 3 ended abnormally.

EXAMPLES
  wsync connect wss://example.org/feed
  echo hello | wsync connect -n 1 ws://localhost:9001
  wsync man | man -l -";

/// WebSockets from the shell: talk to a server, be one, measure one, record what one says.
#[derive(Parser)]
#[command(name = "wsync", version, arg_required_else_help = true)]
#[command(after_help = EXAMPLES)]
struct Cli {
    /// Log to standard error what the library logs; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// When to use colours: auto asks the terminal, NO_COLOR and CLICOLOR_FORCE
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = clap::ColorChoice::Auto)]
    color: clap::ColorChoice,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Talk to a server: lines in, messages out
    #[command(after_help = connect::EXAMPLES)]
    Connect(Box<connect::Arguments>),
    /// Be a server: echo, broadcast, or a program for each connection
    Serve(serve::Arguments),
    /// Measure the latency and throughput of a server that echoes
    Bench(bench::Arguments),
    /// Record what a server sends, with its timing
    Record(record::Arguments),
    /// Send a recording again, with its timing
    Replay(replay::Arguments),
    /// Print a script of completions for a shell
    #[command(after_help = manual::COMPLETIONS_EXAMPLES)]
    Completions(manual::Completions),
    /// Print the man page, or write one for each command into a folder
    #[command(after_help = manual::MAN_EXAMPLES)]
    Man(manual::Man),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = match cli.verbose {
        0 => log::LevelFilter::Off,
        1 => log::LevelFilter::Debug,
        _ => log::LevelFilter::Trace,
    };
    env_logger::Builder::new()
        .filter_module("wsync", level)
        .target(env_logger::Target::Pipe(Box::new(logs::Logs)))
        .init();
    anstream::ColorChoice::write_global(match cli.color {
        clap::ColorChoice::Auto => anstream::ColorChoice::Auto,
        clap::ColorChoice::Always => anstream::ColorChoice::Always,
        clap::ColorChoice::Never => anstream::ColorChoice::Never,
    });
    let done = match cli.command {
        Command::Connect(arguments) => connect::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Record(arguments) => record::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Completions(arguments) => manual::completions(&arguments, Cli::command()),
        Command::Man(arguments) => manual::man(&arguments, Cli::command()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
