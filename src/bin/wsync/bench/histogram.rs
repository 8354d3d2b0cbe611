//! Times, counted in classes that grow: ten or five to a power of ten.

use hdrhistogram::Histogram;
use serde::Serialize;

/// More classes than this, up to 99.9 % of all, make too long a list.
const CLASSES: usize = 16;

/// The preferred numbers of ISO 3.
const TEN: [u64; 10] = [100, 125, 160, 200, 250, 315, 400, 500, 630, 800];
const FIVE: [u64; 5] = [100, 160, 250, 400, 630];

#[derive(Debug, Serialize)]
pub(super) struct Class {
    pub(super) from_us: f64,
    pub(super) below_us: f64,
    pub(super) messages: u64,
}

/// Nothing between them is left out, and none at the ends is empty.
pub(super) fn classes(times: &Histogram<u64>) -> Vec<Class> {
    let fine = classes_of(times, &TEN);
    match most(&fine) > CLASSES {
        true => classes_of(times, &FIVE),
        false => fine,
    }
}

/// How many classes have 99.9 % of all messages.
pub(super) fn most(classes: &[Class]) -> usize {
    let all: u64 = classes.iter().map(|class| class.messages).sum();
    let mut counted = 0;
    let has_most = |class: &Class| {
        counted += class.messages;
        counted as f64 >= all as f64 * 0.999
    };
    classes.iter().position(has_most).map_or(0, |last| last + 1)
}

fn classes_of(times: &Histogram<u64>, series: &[u64]) -> Vec<Class> {
    if times.is_empty() {
        return Vec::new();
    }
    let powers = (0..17).map(|power| 10_u64.pow(power));
    let bounds = powers.flat_map(|power| series.iter().map(move |number| number * power));
    let mut bounds: Vec<u64> = std::iter::once(0).chain(bounds).collect();
    let first = bounds.partition_point(|bound| *bound <= times.min()) - 1;
    let last = bounds.partition_point(|bound| *bound <= times.max());
    bounds.truncate(last + 1);
    bounds.drain(..first);
    let mut counts = vec![0; bounds.len() - 1];
    for step in times.iter_recorded() {
        let time = step
            .value_iterated_to()
            .clamp(bounds[0], bounds[counts.len()] - 1);
        counts[bounds.partition_point(|bound| *bound <= time) - 1] += step.count_at_value();
    }
    let us = |nanoseconds: u64| nanoseconds as f64 / 1000.0;
    let classes = bounds.windows(2).zip(counts);
    classes
        .map(|(bounds, messages)| Class {
            from_us: us(bounds[0]),
            below_us: us(bounds[1]),
            messages,
        })
        .collect()
}

/// A bar so many columns wide for the largest of its kind; nothing is drawn only for nothing.
pub(super) fn bar(count: u64, largest: u64, columns: usize) -> String {
    let eighths = (count as f64 / largest.max(1) as f64 * columns as f64 * 8.0).round() as usize;
    let eighths = eighths.max(usize::from(count > 0));
    let mut bar = "█".repeat(eighths / 8);
    bar.push_str(["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8]);
    bar
}
