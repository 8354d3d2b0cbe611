//! `wsync bench`: the latency and the throughput of a server that echoes.

mod closed_loop;
mod histogram;
mod load;
mod paced;
mod payload;
mod report;

use crate::client_options::{ClientOptions, seconds};
use crate::failure::Failure;
use crate::record::without_credentials;
use clap::{Args, ValueEnum};
use load::{Load, Pace};
use payload::Payload;
use report::Report;
use std::time::Duration;

const EXAMPLES: &str = "\
Two measurements, one after the other. Latency: one connection, one message at a time, from before it is sent \
until it is back. Throughput: --connections, with --window messages under way on each; how long they take then \
is told, too, and is mostly the time in which they wait for each other.

With --rate there is one measurement instead: messages are sent at fixed times, whether or not those before \
them are back, and each latency counts from the time at which its message was due. So a server that stands still \
for a second shows in all messages of that second, and not in one. How late this side was is told beside it.

Every message that comes back is compared with what was sent. A server that does not echo, or not everything, \
ends the measurement with status 3.

EXAMPLES
  wsync bench ws://localhost:9000
  wsync bench ws://localhost:9000 --only throughput -n 100 -w 10 --size 1024 --binary
  wsync bench wss://example.org/echo --rate 500 -d 60
  wsync bench ws://localhost:9000 --json | jq .latency.latency_us.p99

JSON
  url, kind, size, compressed, warm_up_seconds, and of latency, throughput and rate those that were measured:
    connections, window, seconds, messages, messages_per_second, bytes_per_second (payload, each way),
    latency_us: min, mean, p50, p90, p99, p99_9, max,
    histogram: a list of from_us, below_us, messages;
    rate also has asked_per_second, not_sent (they were due, but nothing more could be sent), and late_us";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// ws:// or wss://
    url: String,
    /// How long each measurement takes, in seconds
    #[arg(short, long, value_name = "SECONDS", default_value_t = 5.0)]
    duration: f64,
    /// What is left out before it, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    warm_up: f64,
    /// Bytes of a message
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u64).range(8..=1 << 26))]
    size: u64,
    /// Send binary messages rather than text
    #[arg(long)]
    binary: bool,
    /// Connections, for throughput and --rate
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Messages under way on each connection, for throughput
    #[arg(short, long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    window: u32,
    /// Make one of the two measurements
    #[arg(long, value_enum)]
    only: Option<Measurement>,
    /// Send so many messages a second, on all connections together
    #[arg(short, long, value_name = "N", conflicts_with = "only")]
    rate: Option<f64>,
    /// Give up when no message has come back for so long, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    timeout: f64,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientOptions,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Measurement {
    Latency,
    Throughput,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let builder = arguments.client.builder(&arguments.url)?;
    let load = Load {
        builder,
        payload: Payload::new(arguments.size as usize, arguments.binary),
        warm_up: seconds(arguments.warm_up)?,
        duration: positive(arguments.duration)?,
        timeout: positive(arguments.timeout)?,
    };
    let mut report = Report::new(arguments, without_credentials(&arguments.url));
    if let Some(rate) = arguments.rate {
        if !(rate.is_finite() && rate > 0.0) {
            return Err(Failure::Usage(format!("a rate of {rate}")));
        }
        report.rate(load.apply("rate", arguments.connections, Pace::Rate(rate))?);
        return report.print(arguments.json);
    }
    if arguments.only != Some(Measurement::Throughput) {
        report.latency(load.apply("latency", 1, Pace::Window(1))?);
    }
    if arguments.only != Some(Measurement::Latency) {
        let pace = Pace::Window(arguments.window as usize);
        report.throughput(load.apply("throughput", arguments.connections, pace)?);
    }
    report.print(arguments.json)
}

fn positive(number: f64) -> Result<Duration, Failure> {
    match seconds(number)? {
        Duration::ZERO => Err(Failure::Usage("0 s is too short".into())),
        duration => Ok(duration),
    }
}
