//! How long calls take, counted by spans of time.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Durations are counted by powers of two of microseconds, each in so many parts: quantiles are off by a sixth at most.
const PARTS: usize = 4;
/// From a microsecond to some hours.
const POWERS: usize = 34;
const BUCKETS: usize = POWERS * PARTS;

/// How many calls took how long, as it is being counted.
#[derive(Debug)]
pub(crate) struct Ladder {
    counts: Box<[AtomicU64]>,
    sum_us: AtomicU64,
}

/// How many calls took how long.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Durations {
    counts: Vec<u64>,
    sum: Duration,
}

impl Default for Ladder {
    fn default() -> Self {
        Self { counts: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(), sum_us: AtomicU64::new(0) }
    }
}

impl Ladder {
    pub(crate) fn count(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.counts[bucket(micros)].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Durations {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Durations { counts, sum: Duration::from_micros(self.sum_us.load(Ordering::Relaxed)) }
    }
}

impl Durations {
    /// How many calls were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long they took together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The time within which this share of them ended, from 0 to 1; none where there were none. Off by a sixth at most.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let total = self.count();
        if total == 0 {
            return None;
        }
        let rank = (total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        found.map(middle)
    }

    /// How many of them took less than so many microseconds: exact, as bounds of histograms have to be.
    #[must_use]
    pub fn within_power_of_two_us(&self, power: u32) -> u64 {
        self.counts.iter().take(power as usize * PARTS).sum()
    }

    /// Those that were counted after `before` was read.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let earlier = before.counts.iter().chain(std::iter::repeat(&0));
        let counts = self.counts.iter().zip(earlier).map(|(now, then)| now.saturating_sub(*then)).collect();
        Self { counts, sum: self.sum.saturating_sub(before.sum) }
    }
}

fn bucket(micros: u64) -> usize {
    let micros = micros.max(1);
    let power = micros.ilog2() as usize;
    // The two bits after the highest say in which part of its power it lies.
    let part = if power >= 2 { (micros >> (power - 2)) as usize & (PARTS - 1) } else { (micros << (2 - power)) as usize & (PARTS - 1) };
    (power * PARTS + part).min(BUCKETS - 1)
}

/// The middle of a bucket.
fn middle(bucket: usize) -> Duration {
    let (power, part) = (bucket / PARTS, bucket % PARTS);
    let micros = 2f64.powi(power as i32) * (1.0 + (part as f64 + 0.5) / PARTS as f64);
    Duration::from_secs_f64(micros / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_has_its_bucket() {
        let buckets: Vec<usize> = [0, 1, 2, 3, 4, 5, 6, 7, 8, 1000, u64::MAX / 2].map(bucket).into();
        assert!(buckets.is_sorted() && *buckets.last().unwrap() == BUCKETS - 1, "{buckets:?}");
        for micros in [1_u64, 7, 100, 12_345, 9_999_999] {
            let middle = middle(bucket(micros)).as_secs_f64() * 1e6;
            assert!((middle / micros as f64 - 1.0).abs() < 0.17, "{micros}: {middle}");
        }
    }

    #[test]
    fn bounds_and_differences_are_exact() {
        let ladder = Ladder::default();
        for micros in [100, 255, 256, 1023, 1024, 5_000_000] {
            ladder.count(Duration::from_micros(micros));
        }
        let before = ladder.read();
        assert_eq!([8, 10, 11, 40].map(|power| before.within_power_of_two_us(power)), [2, 4, 5, 6]);
        assert_eq!((before.count(), before.sum()), (6, Duration::from_micros(5_002_658)));
        ladder.count(Duration::from_millis(3));
        let since = ladder.read().since(&before);
        assert_eq!((since.count(), since.sum()), (1, Duration::from_millis(3)));
        assert_eq!(ladder.read().since(&Durations::default()).count(), 7);
        assert_eq!(Durations::default().quantile(0.5), None);
    }
}
