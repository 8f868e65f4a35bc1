//! The one source of chance: splitmix64, a stream of its own for each thing that needs chance, so
//! that one machine's dice do not depend on how often another has thrown.
//!
//! Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.

use std::time::Duration;

use uuid::{Builder, Uuid};

/// A stream of numbers.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The stream of this seed for the thing of this name.
    pub(crate) fn new(seed: u64, name: &str) -> Self {
        // FNV-1a; what matters is that it is the same everywhere.
        let hash =
            name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        Self(seed ^ hash)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Whole milliseconds below `limit`, or none where `limit` is below one.
    pub(crate) fn below(&mut self, limit: Duration) -> Duration {
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1);
        Duration::from_millis(self.next() % limit)
    }

    /// A number below `count`, which is at least one.
    pub(crate) fn pick(&mut self, count: usize) -> usize {
        let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
        // Less than `count`, so it fits again.
        usize::try_from(self.next() % count).unwrap_or(0)
    }

    /// This long, and up to a quarter more.
    pub(crate) fn about(&mut self, time: Duration) -> Duration {
        time + self.below(time / 4)
    }

    /// A random UUID (version 4).
    pub(crate) fn uuid(&mut self) -> Uuid {
        let bytes = u128::from(self.next()) << 64 | u128::from(self.next());
        Builder::from_random_bytes(bytes.to_be_bytes()).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_and_name_and_repeat() {
        let take = |seed, name| Random::new(seed, name).next();
        assert_eq!(take(1, "a"), take(1, "a"));
        assert_ne!(take(1, "a"), take(2, "a"));
        assert_ne!(take(1, "a"), take(1, "b"));
    }

    #[test]
    fn jitter_stays_within_a_quarter_and_on_whole_milliseconds() {
        let mut random = Random::new(7, "x");
        for _ in 0..100 {
            let time = random.about(Duration::from_secs(4));
            assert!((4000..5000).contains(&time.as_millis()) && time.subsec_nanos().is_multiple_of(1_000_000));
        }
        assert_eq!(random.about(Duration::ZERO), Duration::ZERO);
    }
}
