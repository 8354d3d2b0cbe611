//! The command `wsync`: WebSockets from the shell.

mod bench;
mod client_options;
mod connect;
mod escaped;
mod failure;
mod interrupt;
mod manual;
mod record;
mod recording;
mod replay;
mod serve;
mod server_options;
mod show;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// WebSockets from the shell: talk to a server, be one, measure one, record what one says.
#[derive(Parser)]
#[command(name = "wsync", version, arg_required_else_help = true)]
#[command(
    after_help = "Exit status: 0 closed normally, 1 not connected, 2 usage, 3 ended abnormally."
)]
struct Cli {
    /// Log to standard error what the library logs; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Talk to a server: lines in, messages out
    Connect(connect::Arguments),
    /// Be a server: echo, broadcast, or a program for each connection
    Serve(serve::Arguments),
    /// Measure the latency and throughput of a server that echoes
    Bench(bench::Arguments),
    /// Record what a server sends, with its timing
    Record(record::Arguments),
    /// Send a recording again, with its timing
    Replay(replay::Arguments),
    /// Print a script of completions for a shell
    Completions(manual::Completions),
    /// Print the man page, or write one for each command into a folder
    Man(manual::Man),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = match cli.verbose {
        0 => log::LevelFilter::Off,
        1 => log::LevelFilter::Debug,
        _ => log::LevelFilter::Trace,
    };
    env_logger::Builder::new().filter_level(level).init();
    let done = match cli.command {
        Command::Connect(arguments) => connect::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Record(arguments) => record::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Completions(arguments) => manual::completions(&arguments),
        Command::Man(arguments) => manual::man(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
