//! How fast a browser may talk.

use std::thread;
use std::time::{Duration, Instant};

/// So many messages each second, and twice as many at once after a silence.
///
/// Who says more is not refused. Nobody takes the messages: they wait in the receive queue, and when that is full, with
/// the browser, for TCP slows it down.
pub struct Rate {
    each: Duration,
    /// When the next message may be taken if all that may come at once have come.
    next: Instant,
}

impl Rate {
    pub fn per_second(messages: u32) -> Self {
        Rate {
            each: Duration::from_secs(1) / messages.max(1),
            next: Instant::now(),
        }
    }

    /// Waits until it is the turn of the next message.
    pub fn wait(&mut self) {
        thread::sleep(self.delay(Instant::now()));
    }

    /// How long the next message has to wait.
    fn delay(&mut self, now: Instant) -> Duration {
        let burst = Duration::from_secs(2);
        self.next = self.next.max(now) + self.each;
        (self.next - now).saturating_sub(burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_burst_there_is_one_message_for_each_interval() {
        let begin = Instant::now();
        let mut rate = Rate::per_second(10);
        let delays: Vec<_> = (0..22).map(|_| rate.delay(begin).as_millis()).collect();
        assert_eq!(delays[..20], [0; 20]);
        assert_eq!(delays[20..], [100, 200]);
        let later = begin + Duration::from_secs(1);
        assert_eq!(rate.delay(later), Duration::ZERO);
    }
}
