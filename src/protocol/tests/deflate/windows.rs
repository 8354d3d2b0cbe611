//! References stay within the window that was agreed on, whatever the level and the memory.

use super::reader::{Reader, Stop};
use super::texts::{KINDS, Kind, Random};
use super::*;
use std::thread;

/// Of a message. Two of them are longer than the largest window.
const LENGTH: usize = 24_000;

pub(super) const WINDOWS: std::ops::RangeInclusive<u8> = 8..=15;

const MEM_LEVELS: [u8; 4] = [1, 5, 8, 9];

/// Every level, with several sizes of memory.
pub(super) fn all_settings(window_bits: u8) -> impl Iterator<Item = DeflateSettings> {
    let of_level =
        move |level| MEM_LEVELS.map(move |mem_level| settings(level, window_bits, mem_level));
    (1..=9).flat_map(of_level)
}

/// Two messages and what they are in one stream, with their tails.
pub(super) struct Pair {
    pub(super) stream: Vec<u8>,
    pub(super) output: Vec<u8>,
}

/// The second message refers to the first, if there is takeover.
pub(super) fn pair(settings: DeflateSettings, kind: Kind, takeover: bool) -> Pair {
    let mut random = Random::new(u64::from(settings.level));
    let mut deflater = Deflater::new(settings);
    let (mut stream, mut output) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let message = kind(&mut random, &output, LENGTH);
        let (begin, end) = message.split_at(LENGTH / 2);
        let (first, second) = begin.split_at(LENGTH / 3);
        for (piece, part) in [
            (first, Part::More),
            (second, Part::Flush),
            (end, Part::Last),
        ] {
            deflater.deflate(piece, part, &mut stream);
        }
        stream.extend([0, 0, 0xff, 0xff]);
        output.extend(message);
        if !takeover {
            deflater.reset();
        }
    }
    Pair { stream, output }
}

/// The greatest distance, once the output is seen to be right.
fn farthest(settings: DeflateSettings, kind: (&str, Kind), takeover: bool) -> usize {
    let pair = pair(settings, kind.1, takeover);
    let mut reader = Reader::new(&pair.stream);
    assert_eq!(reader.run(), Stop::End, "{settings:?}, {}", kind.0);
    assert!(reader.output == pair.output, "{settings:?}, {}", kind.0);
    let window = 1 << settings.window_bits;
    assert!(
        reader.farthest <= window,
        "{settings:?}, {}: {} back",
        kind.0,
        reader.farthest
    );
    reader.farthest
}

/// By window bits, the greatest distance in all pairs of messages of a window.
fn table(of_window: impl Fn(u8) -> usize + Sync) -> Vec<(u8, usize)> {
    let of_window = &of_window;
    thread::scope(|scope| {
        let start = |bits| (bits, scope.spawn(move || of_window(bits)));
        let started: Vec<_> = WINDOWS.map(start).collect();
        let join = |(bits, thread): (u8, thread::ScopedJoinHandle<usize>)| {
            (bits, thread.join().expect("within the window"))
        };
        started.into_iter().map(join).collect()
    })
}

/// zlib leaves 262 bytes for the longest match, and takes 9 bits for 8.
fn is_used(table: &[(u8, usize)]) {
    println!("window bits and the greatest distance: {table:?}");
    for (bits, farthest) in table {
        let most = (1 << bits.max(&9)) - 262;
        assert_eq!(*farthest, most, "the window of {bits} bits is used");
    }
}

#[test]
fn no_reference_goes_back_further_than_the_window() {
    is_used(&table(|window_bits| {
        let of_level = |level: u8| {
            let mem_level = MEM_LEVELS[usize::from(window_bits + level) % 4];
            let settings = settings(level, window_bits, mem_level);
            let other = KINDS[1 + usize::from(level) % 4];
            let distances = [KINDS[0], other].map(|kind| farthest(settings, kind, true));
            distances.into_iter().max()
        };
        (1..=9).filter_map(of_level).max().unwrap()
    }));
}

#[test]
#[ignore = "a minute and more: the same with every level, memory and kind of text"]
fn no_settings_let_a_reference_go_back_further_than_the_window() {
    is_used(&table(|window_bits| {
        let mut most = 0;
        for settings in all_settings(window_bits) {
            for kind in KINDS {
                most = most.max(farthest(settings, kind, true));
            }
        }
        most
    }));
}

#[test]
fn the_window_is_kept_to_without_takeover() {
    for window_bits in WINDOWS {
        for level in [1, 9] {
            farthest(settings(level, window_bits, 5), KINDS[0], false);
        }
    }
}
