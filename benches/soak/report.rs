//! The line at the end, and the figures in it.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

/// Fields of a JSON object, and the bounds that were broken.
#[derive(Debug, Default)]
pub(crate) struct Report {
    fields: Vec<String>,
    broken: Vec<String>,
}

impl Report {
    pub(crate) fn new(mode: &str) -> Self {
        let mut report = Report::default();
        report.text("mode", mode);
        report
    }

    /// A number, or what is JSON already.
    pub(crate) fn field(&mut self, name: &str, value: impl Display) {
        self.fields.push(format!("\"{name}\":{value}"));
    }

    pub(crate) fn text(&mut self, name: &str, value: impl Display) {
        self.field(name, format_args!("\"{value}\""));
    }

    /// With three digits behind the point.
    pub(crate) fn decimal(&mut self, name: &str, value: f64) {
        match value.is_finite() {
            true => self.field(name, format_args!("{value:.3}")),
            false => self.field(name, "null"),
        }
    }

    /// `broken` must be false.
    pub(crate) fn bound(&mut self, broken: bool, what: impl Display) {
        if broken {
            self.broken.push(what.to_string());
        }
    }

    /// What stands for several of one kind, as an object.
    pub(crate) fn counts<'a>(
        &mut self,
        name: &str,
        counts: impl IntoIterator<Item = (&'a str, usize)>,
    ) {
        let pairs = counts
            .into_iter()
            .map(|(name, n)| format!("\"{name}\":{n}"));
        let pairs = pairs.collect::<Vec<_>>().join(",");
        self.field(name, format_args!("{{{pairs}}}"));
    }

    pub(crate) fn print(self) -> ExitCode {
        let broken: Vec<_> = self.broken.iter().map(|what| format!("{what:?}")).collect();
        println!(
            "{{{},\"broken\":[{}]}}",
            self.fields.join(","),
            broken.join(",")
        );
        ExitCode::from(u8::from(!self.broken.is_empty()))
    }
}

/// Times up to a second, to 10 us; what is longer counts as a second, but for the maximum.
#[derive(Debug, Clone)]
pub(crate) struct Times {
    steps: Vec<u32>,
    count: usize,
    max: Duration,
}

impl Times {
    const STEP: u128 = 10;

    pub(crate) fn new() -> Self {
        Times {
            steps: vec![0; 100_001],
            count: 0,
            max: Duration::ZERO,
        }
    }

    pub(crate) fn add(&mut self, time: Duration) {
        let last = self.steps.len() - 1;
        let step = time.as_micros() / Self::STEP;
        self.steps[(step as usize).min(last)] += 1;
        self.count += 1;
        self.max = self.max.max(time);
    }

    pub(crate) fn merge(&mut self, other: &Times) {
        for (mine, other) in self.steps.iter_mut().zip(&other.steps) {
            *mine += other;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// In milliseconds.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let rank = (self.count as f64 * share).ceil() as usize;
        let mut seen = 0;
        for (step, n) in self.steps.iter().enumerate() {
            seen += *n as usize;
            if seen >= rank.max(1) {
                return (step as f64 + 0.5) * Self::STEP as f64 / 1000.0;
            }
        }
        f64::NAN
    }

    pub(crate) fn max(&self) -> f64 {
        self.max.as_secs_f64() * 1000.0
    }
}

/// The slope of the line that fits best, by least squares; without two points, not a number.
pub(crate) fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let (mut above, mut below) = (0.0, 0.0);
    for point in points {
        above += (point.0 - x) * (point.1 - y);
        below += (point.0 - x) * (point.0 - x);
    }
    above / below
}
