//! How fast the world's time passes: world time is pace times the runtime's time, and can be changed or
//! stopped while everything waits.
//!
//! At the pace of one, which every world has at first, world time is exactly `tokio::time`, so that a runtime
//! with paused time makes it jump and a run can be repeated. All waiting of this crate goes through
//! [`Pace::sleep`]; nothing else here knows `tokio::time`. What a pause stops is time: whoever waits waits on,
//! whoever asks is still answered if the answer takes none.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use harmony_core::clock::{Clock, SystemClock};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Slowest and fastest, in thousandths.
const RANGE: std::ops::RangeInclusive<u32> = 100..=1_000_000;
/// What nobody notices.
const TICK: Duration = Duration::from_millis(20);
/// The pace of one, in thousandths.
const ONE: u32 = 1000;

/// Seconds of the world per second, from 0.1 to 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speed(
    /// In thousandths, so that no time is lost to rounding when it is changed often.
    u32,
);

/// Not a [`Speed`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no speed (expected a number from 0.1 to 1000)")]
pub struct SpeedError(String);

impl Speed {
    /// As fast as the runtime's time.
    pub const ONE: Self = Self(ONE);

    /// This many seconds of the world per second.
    ///
    /// # Errors
    /// If it is below 0.1 or above 1000.
    pub fn new(factor: f64) -> Result<Self, SpeedError> {
        let thousandths = (factor * f64::from(ONE)).round();
        let is_in_range = (f64::from(*RANGE.start())..=f64::from(*RANGE.end())).contains(&thousandths);
        // In range, so nothing is cut off.
        if is_in_range { Ok(Self(thousandths as u32)) } else { Err(SpeedError(factor.to_string())) }
    }
}

impl Speed {
    /// How long this time of the world is to those outside.
    #[must_use]
    pub fn outside(self, time: Duration) -> Duration {
        scale(time, ONE, self.0)
    }

    /// This many times as fast.
    ///
    /// # Errors
    /// If that is below 0.1 or above 1000.
    pub fn times(self, factor: f64) -> Result<Self, SpeedError> {
        Self::new(f64::from(self.0) / f64::from(ONE) * factor)
    }
}

impl FromStr for Speed {
    type Err = SpeedError;

    fn from_str(text: &str) -> Result<Self, SpeedError> {
        let factor = text.trim().parse().map_err(|_| SpeedError(text.chars().take(40).collect()))?;
        Self::new(factor)
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / f64::from(ONE))
    }
}

/// The pace of a world: changed by whoever holds one, noticed by everything that waits. Clones are the same pace.
#[derive(Debug, Clone)]
pub struct Pace {
    rate: Arc<watch::Sender<Rate>>,
}

/// A line through one point: at `real` it is `world`, and goes on at `speed`.
#[derive(Debug, Clone, Copy)]
struct Rate {
    real: Instant,
    world: Duration,
    speed: Speed,
    is_paused: bool,
}

impl Rate {
    fn world_at(&self, real: Instant) -> Duration {
        let passed = real.saturating_duration_since(self.real);
        if self.is_paused { self.world } else { self.world + scale(passed, self.speed.0, ONE) }
    }

    /// When the world's time will be this; never, while it stands still.
    fn real_at(&self, world: Duration) -> Option<Instant> {
        let left = world.saturating_sub(self.world);
        (!self.is_paused).then(|| self.real + scale(left, ONE, self.speed.0))
    }
}

/// `time` times `by` through `through`, upwards to the next nanosecond, so that nobody wakes too early.
fn scale(time: Duration, by: u32, through: u32) -> Duration {
    if by == through {
        return time;
    }
    let nanos = (time.as_nanos() * u128::from(by)).div_ceil(u128::from(through));
    let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
    Duration::from_nanos(nanos)
}

impl Pace {
    /// Begins now, at the pace of one.
    pub(crate) fn begin() -> Self {
        let rate = Rate { real: Instant::now(), world: Duration::ZERO, speed: Speed::ONE, is_paused: false };
        Self { rate: Arc::new(watch::Sender::new(rate)) }
    }

    /// World time since the beginning.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.rate.borrow().world_at(Instant::now())
    }

    /// How fast time passes when it is not paused.
    #[must_use]
    pub fn speed(&self) -> Speed {
        self.rate.borrow().speed
    }

    /// Whether time stands still.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.rate.borrow().is_paused
    }

    /// From now on time passes at this speed; a pause stays one.
    pub fn set_speed(&self, speed: Speed) {
        self.change(|rate| rate.speed = speed);
    }

    /// Time stands still until [`Self::resume`].
    pub fn pause(&self) {
        self.change(|rate| rate.is_paused = true);
    }

    /// Time goes on.
    pub fn resume(&self) {
        self.change(|rate| rate.is_paused = false);
    }

    fn change(&self, how: impl FnOnce(&mut Rate)) {
        self.rate.send_modify(|rate| {
            let now = Instant::now();
            (rate.world, rate.real) = (rate.world_at(now), now);
            how(rate);
        });
    }

    /// Waits for this long in world time, whatever becomes of the pace meanwhile.
    pub async fn sleep(&self, time: Duration) {
        let mut rates = self.rate.subscribe();
        let until = self.now() + time;
        loop {
            let rate = *rates.borrow_and_update();
            // The sender is ours, so `changed` waits for changes alone.
            match rate.real_at(until) {
                Some(real) => tokio::select! {
                    biased;
                    () = sleep_until(real) => return,
                    _ = rates.changed() => {}
                },
                None => drop(rates.changed().await),
            }
        }
    }
}

/// A moment of the runtime's time, whatever the pace: for what has to look at a world that may stand still.
pub(crate) async fn tick() {
    sleep_until(Instant::now() + TICK).await;
}

/// The machine's own clock, off by some seconds.
pub(crate) struct JumpyClock(pub(crate) Arc<AtomicI64>);

impl Clock for JumpyClock {
    fn now(&self) -> Timestamp {
        let jump = SignedDuration::from_secs(self.0.load(Ordering::Relaxed));
        SystemClock.now().checked_add(jump).unwrap_or(Timestamp::MAX)
    }
}

/// The world's time as timestamps.
pub(crate) struct PacedClock {
    pub(crate) epoch: Timestamp,
    pub(crate) pace: Pace,
    /// How far it is off, in seconds: a fault may make it jump.
    pub(crate) jump_s: Arc<AtomicI64>,
}

impl Clock for PacedClock {
    fn now(&self) -> Timestamp {
        let jump = SignedDuration::from_secs(self.jump_s.load(Ordering::Relaxed));
        let now = self.epoch.checked_add(self.pace.now()).and_then(|now| now.checked_add(jump));
        now.unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn speed(factor: f64) -> Speed {
        Speed::new(factor).expect("in range")
    }

    #[test]
    fn speeds_are_read_and_bounded() {
        assert_eq!("10".parse(), Ok(speed(10.0)));
        assert_eq!("0.25".parse::<Speed>().map(|speed| speed.to_string()), Ok("0.25".to_owned()));
        for bad in ["0", "0.09", "1001", "-1", "NaN", "inf", "fast", ""] {
            assert!(bad.parse::<Speed>().is_err(), "{bad}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_pace_of_one_it_is_the_runtimes_time() {
        let (pace, start) = (Pace::begin(), Instant::now());
        for millis in [0, 1, 7, 1000, 86_400_000] {
            let (before, time) = (Instant::now(), Duration::from_millis(millis));
            pace.sleep(time).await;
            assert_eq!(Instant::now() - before, time);
            assert_eq!(pace.now(), start.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_of_speed_reaches_those_who_sleep() {
        let (pace, start) = (Pace::begin(), Instant::now());
        let sleeper = tokio::spawn({
            let pace = pace.clone();
            async move {
                pace.sleep(100 * S).await;
                (pace.now(), start.elapsed())
            }
        });
        tokio::task::yield_now().await;
        advance(10 * S).await;
        pace.set_speed(speed(10.0));
        advance(3 * S).await;
        assert_eq!(pace.now(), 40 * S);
        pace.set_speed(speed(0.5));
        let (world, real) = sleeper.await.expect("ends");
        assert_eq!((world, real), (100 * S, 133 * S));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_stops_time_and_those_who_sleep() {
        let pace = Pace::begin();
        pace.set_speed(speed(2.0));
        let sleeper = tokio::spawn({
            let pace = pace.clone();
            async move { pace.sleep(10 * S).await }
        });
        tokio::task::yield_now().await;
        advance(S).await;
        pace.pause();
        advance(1000 * S).await;
        assert_eq!(pace.now(), 2 * S);
        assert!(!sleeper.is_finished() && pace.is_paused());
        pace.set_speed(Speed::ONE);
        assert!(pace.is_paused(), "still");
        pace.resume();
        let before = Instant::now();
        sleeper.await.expect("ends");
        assert_eq!((before.elapsed(), pace.now()), (8 * S, 10 * S));
    }
}
