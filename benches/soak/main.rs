//! cargo bench --bench soak -- MODE [options]
//!
//! Programs that run for minutes or hours, and end with one line of JSON and with status 1 if a bound is broken.
//!
//!     connections   many connections that are mostly idle
//!     churn         many connections one after the other, of which some are cut
//!     slow-consumer 100 connections at full speed to a consumer that pauses
//!     hostile       attacks, while well-behaved connections are measured
//!     link          both ends of a connection, for a network that loses things: .ci/netem
//!
//! Each mode's file says which options it has. The server is `examples/testee` of a release build, another process:
//! --testee PATH or the variable TESTEE name another.

#[path = "../common/mod.rs"]
#[cfg(target_os = "linux")]
mod common;

#[cfg(target_os = "linux")]
mod attacks;
#[cfg(target_os = "linux")]
mod bytes;
#[cfg(target_os = "linux")]
mod churn;
#[cfg(target_os = "linux")]
mod connections;
#[cfg(target_os = "linux")]
mod hostile;
#[cfg(target_os = "linux")]
mod link;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod options;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod raw;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod slow;

use std::process::ExitCode;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    match run() {
        Ok(report) => report.print(),
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::from(2)
        }
    }
}

#[cfg(target_os = "linux")]
fn run() -> Result<report::Report, Failure> {
    // `--bench` is from `cargo bench`.
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    let mode = words.next().unwrap_or_default();
    let mut options = options::Options::parse(words)?;
    process::raise_limit()?;
    match mode.as_str() {
        "connections" => connections::run(&mut options),
        "churn" => churn::run(&mut options),
        "slow-consumer" => slow::run(&mut options),
        "produce" => slow::produce::run(&mut options),
        "hostile" => hostile::run(&mut options),
        "link" => link::run(&mut options),
        _ => Err("connections | churn | slow-consumer | hostile | link".into()),
    }
}

/// /proc tells what the server needs.
#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("soak: on Linux only");
    ExitCode::from(2)
}
