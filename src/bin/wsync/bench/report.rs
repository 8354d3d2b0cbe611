//! What was measured, for a person or as JSON.

use super::Arguments;
use super::histogram::{Class, bar, classes, most};
use super::load::{Measured, Pace};
use crate::failure::Failure;
use crate::show;
use anstyle::Style;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::io::Write;

/// Of the longest bar.
const COLUMNS: usize = 40;

const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();

/// The names of its fields are those of the JSON, which `--help` tells: they stay.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    url: String,
    kind: &'static str,
    size: usize,
    compressed: bool,
    warm_up_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    throughput: Option<Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<RateFigures>,
}

#[derive(Debug, Serialize)]
struct Figures {
    connections: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<usize>,
    seconds: f64,
    messages: u64,
    messages_per_second: f64,
    bytes_per_second: f64,
    latency_us: Times,
    histogram: Vec<Class>,
}

#[derive(Debug, Serialize)]
struct RateFigures {
    asked_per_second: f64,
    not_sent: u64,
    late_us: Times,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Debug, Serialize)]
struct Times {
    min: f64,
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    p99_9: f64,
    max: f64,
}

impl Report {
    pub(super) fn new(arguments: &Arguments, url: String) -> Self {
        Report {
            url,
            kind: if arguments.binary { "binary" } else { "text" },
            size: arguments.size as usize,
            compressed: false,
            warm_up_seconds: arguments.warm_up,
            latency: None,
            throughput: None,
            rate: None,
        }
    }

    pub(super) fn latency(&mut self, measured: Measured) {
        self.latency = Some(self.figures(&measured));
    }

    pub(super) fn throughput(&mut self, measured: Measured) {
        self.throughput = Some(self.figures(&measured));
    }

    pub(super) fn rate(&mut self, measured: Measured) {
        let Pace::Rate(asked_per_second) = measured.pace else {
            return;
        };
        self.rate = Some(RateFigures {
            asked_per_second,
            not_sent: measured.tally.not_sent,
            late_us: Times::of(&measured.tally.lateness),
            figures: self.figures(&measured),
        });
    }

    fn figures(&mut self, measured: &Measured) -> Figures {
        self.compressed |= measured.compressed;
        let messages_per_second = measured.tally.in_time as f64 / measured.seconds;
        Figures {
            connections: measured.connections,
            window: match measured.pace {
                Pace::Window(window) => Some(window),
                Pace::Rate(_) => None,
            },
            seconds: measured.seconds,
            messages: measured.tally.latencies.len(),
            messages_per_second,
            bytes_per_second: messages_per_second * self.size as f64,
            latency_us: Times::of(&measured.tally.latencies),
            histogram: classes(&measured.tally.latencies),
        }
    }

    pub(super) fn print(&self, json: bool) -> Result<(), Failure> {
        let mut text = Vec::new();
        let written = match json {
            true => serde_json::to_writer(&mut text, self).map_err(Into::into),
            false => self.write(&mut text),
        };
        let printed = written.and_then(|()| {
            let mut stdout = anstream::stdout();
            stdout.write_all(&text)?;
            if json {
                stdout.write_all(b"\n")?;
            }
            stdout.flush()
        });
        printed.map_err(|e| Failure::Usage(format!("standard output: {e}")))
    }

    fn write(&self, to: &mut Vec<u8>) -> std::io::Result<()> {
        let compressed = if self.compressed { ", compressed" } else { "" };
        let (size, kind) = (self.size, self.kind);
        writeln!(to, "{STRONG}{}{STRONG:#}", self.url)?;
        writeln!(
            to,
            "{FAINT}{size} bytes of {kind}{compressed}; {} s of warm-up left out{FAINT:#}",
            self.warm_up_seconds
        )?;
        if let Some(figures) = &self.latency {
            writeln!(to, "\n{STRONG}Latency{STRONG:#}, one message at a time")?;
            figures.write(to)?;
        }
        if let Some(figures) = &self.throughput {
            let under_way = figures.window.unwrap_or_default();
            writeln!(
                to,
                "\n{STRONG}Throughput{STRONG:#}, {under_way} messages under way on each connection"
            )?;
            figures.write(to)?;
        }
        if let Some(rate) = &self.rate {
            let asked = rate.asked_per_second;
            writeln!(
                to,
                "\n{STRONG}Rate{STRONG:#}, {asked} messages/s, latencies from when each was due"
            )?;
            rate.figures.write(to)?;
            let (median, most) = (time(rate.late_us.p50), time(rate.late_us.max));
            writeln!(
                to,
                "  {FAINT}sent late by {median} in the median, {most} at most, which is in them{FAINT:#}"
            )?;
            if rate.not_sent > 0 {
                writeln!(
                    to,
                    "  {STRONG}{} messages that were due were not sent: the server was slower{STRONG:#}",
                    show::number(rate.not_sent)
                )?;
            }
        }
        Ok(())
    }
}

impl Figures {
    fn write(&self, to: &mut Vec<u8>) -> std::io::Result<()> {
        let (rate, mb) = (self.messages_per_second, self.bytes_per_second / 1e6);
        let plural = if self.connections == 1 { "" } else { "s" };
        writeln!(
            to,
            "  {STRONG}{} messages/s{STRONG:#}, {mb:.1} MB/s each way; {} messages in {} s on {} connection{plural}",
            show::number(rate.round() as u64),
            show::number(self.messages),
            self.seconds,
            self.connections,
        )?;
        let times = &self.latency_us;
        for (name, value) in [
            ("median", times.p50),
            ("90 %", times.p90),
            ("99 %", times.p99),
            ("99.9 %", times.p99_9),
            ("longest", times.max),
        ] {
            write!(
                to,
                "  {FAINT}{name}{FAINT:#} {STRONG}{}{STRONG:#}",
                time(value)
            )?;
        }
        writeln!(to, "\n")?;
        self.draw(to)
    }

    fn draw(&self, to: &mut Vec<u8>) -> std::io::Result<()> {
        let largest = self.histogram.iter().map(|class| class.messages).max();
        let mut row = |from: f64, messages: u64, behind: &str| {
            let bar = bar(messages, largest.unwrap_or_default(), COLUMNS);
            let share = share(messages as f64 / self.messages as f64);
            let (from, messages) = (bound(from), show::number(messages));
            writeln!(
                to,
                "  {FAINT}{from:>7}{FAINT:#} {bar:<COLUMNS$} {messages:>10} {FAINT}{share:>7}{behind}{FAINT:#}"
            )
        };
        let (most, rest) = self.histogram.split_at(most(&self.histogram));
        for class in most {
            row(class.from_us, class.messages, "")?;
        }
        match rest {
            [] => Ok(()),
            [one] => row(one.from_us, one.messages, ""),
            [first, ..] => {
                let messages = rest.iter().map(|class| class.messages).sum();
                row(first.from_us, messages, " and longer")
            }
        }
    }
}

impl Times {
    fn of(times: &Histogram<u64>) -> Self {
        let us = |nanoseconds: u64| nanoseconds as f64 / 1000.0;
        let at = |quantile| us(times.value_at_quantile(quantile));
        Times {
            min: us(times.min()),
            mean: us(times.mean().round() as u64),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: us(times.max()),
        }
    }
}

/// Three digits and a unit.
fn time(us: f64) -> String {
    let (value, unit) = match us {
        ..1e3 => (us, "µs"),
        ..1e6 => (us / 1e3, "ms"),
        _ => (us / 1e6, "s"),
    };
    match value {
        ..10.0 => format!("{value:.2} {unit}"),
        ..100.0 => format!("{value:.1} {unit}"),
        _ => format!("{value:.0} {unit}"),
    }
}

/// The begin of a class, which has three digits at most.
fn bound(us: f64) -> String {
    match us {
        ..1e3 => format!("{us} µs"),
        ..1e6 => format!("{} ms", us / 1e3),
        _ => format!("{} s", us / 1e6),
    }
}

fn share(part: f64) -> String {
    match part * 100.0 {
        ..0.05 if part > 0.0 => "<0.1 %".into(),
        percent => format!("{percent:.1} %"),
    }
}
