//! Where records come from: a run that is under way, or one that is over.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use harmony_core::event::Record;
use jiff::Timestamp;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use tokio::sync::broadcast;
use tokio::time::Instant;

/// What a source brings.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrival {
    /// The next record.
    Record(Box<Record>),
    /// So many records were lost, because this reader was too slow.
    Missed(u64),
}

/// Where records come from.
pub trait Source: Send {
    /// The next arrival, or `None` when there will be no more. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = Option<Arrival>> + Send;

    /// The time at the place where the records are made.
    fn now(&self) -> Timestamp;

    /// What it says of itself in the header.
    fn banner(&self) -> Option<String> {
        None
    }

    /// Takes a key; `false` where it is none of its own.
    fn on_key(&mut self, key: KeyEvent) -> bool {
        let _ = key;
        false
    }
}

/// A run that is under way.
#[derive(Debug)]
pub struct Live(broadcast::Receiver<Record>);

impl Live {
    /// Records as the bus brings them.
    #[must_use]
    pub fn new(records: broadcast::Receiver<Record>) -> Self {
        Self(records)
    }
}

impl Source for Live {
    async fn next(&mut self) -> Option<Arrival> {
        match self.0.recv().await {
            Ok(record) => Some(Arrival::Record(Box::new(record))),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Arrival::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// How fast the world passes that a run happens in, where that is for the user to say.
pub trait Tempo: Send {
    /// Stops the world, or lets it go on.
    fn pause_or_resume(&mut self);
    /// Twice as fast.
    fn faster(&mut self);
    /// Half as fast.
    fn slower(&mut self);
    /// What it is now: `20×, paused`.
    fn text(&self) -> String;
}

/// A run that is under way in a simulated world, whose speed keys change.
#[derive(Debug)]
pub struct Steered<T> {
    live: Live,
    tempo: T,
}

impl<T: Tempo> Steered<T> {
    /// Records as the bus brings them, of a world with this tempo.
    #[must_use]
    pub fn new(records: broadcast::Receiver<Record>, tempo: T) -> Self {
        Self { live: Live::new(records), tempo }
    }
}

impl<T: Tempo> Source for Steered<T> {
    async fn next(&mut self) -> Option<Arrival> {
        self.live.next().await
    }

    fn now(&self) -> Timestamp {
        self.live.now()
    }

    fn banner(&self) -> Option<String> {
        Some(format!("simulated {}  Space + -", self.tempo.text()))
    }

    fn on_key(&mut self, key: KeyEvent) -> bool {
        match key.code {
            KeyCode::Char(' ') => self.tempo.pause_or_resume(),
            KeyCode::Char('+') => self.tempo.faster(),
            KeyCode::Char('-') => self.tempo.slower(),
            _ => return false,
        }
        true
    }
}

/// The fastest replay.
const MAX_SPEED: u32 = 1024;

/// A run that is over, shown as it went; keys change its speed.
#[derive(Debug)]
pub struct Replay {
    records: VecDeque<Record>,
    speed: u32,
    paused: bool,
    /// The moment of the run that was reached at `since`.
    reached: Timestamp,
    since: Instant,
    end: Timestamp,
}

impl Replay {
    /// Records of a run, `speed` times as fast as it was (1 to 1024). Must be called in a Tokio runtime.
    #[must_use]
    pub fn new(records: Vec<Record>, speed: u32) -> Self {
        let first = records.first().map_or(Timestamp::UNIX_EPOCH, |record| record.at);
        let end = records.iter().map(|record| record.at).max().unwrap_or(first);
        let speed = speed.clamp(1, MAX_SPEED);
        Self { records: records.into(), speed, paused: false, reached: first, since: Instant::now(), end }
    }

    /// Time goes on from `moment`, at whatever speed there is then.
    fn go_on_from(&mut self, moment: Timestamp) {
        (self.reached, self.since) = (moment, Instant::now());
    }
}

impl Source for Replay {
    async fn next(&mut self) -> Option<Arrival> {
        let due = self.records.front()?.at;
        if self.paused && due > self.now() {
            std::future::pending::<()>().await;
        }
        let wait = Duration::try_from(due.duration_since(self.now())).unwrap_or_default();
        tokio::time::sleep_until(Instant::now() + wait / self.speed).await;
        self.records.pop_front().map(|record| Arrival::Record(Box::new(record)))
    }

    fn now(&self) -> Timestamp {
        if self.paused {
            return self.reached;
        }
        let passed = self.since.elapsed().saturating_mul(self.speed);
        self.reached.checked_add(passed).map_or(self.end, |now| now.min(self.end))
    }

    fn banner(&self) -> Option<String> {
        let state = match (self.records.is_empty(), self.paused) {
            (true, _) => ", at its end",
            (false, true) => ", paused",
            (false, false) => "",
        };
        Some(format!("replay {}×{state}  Space + - n", self.speed))
    }

    fn on_key(&mut self, key: KeyEvent) -> bool {
        let now = self.now();
        match key.code {
            KeyCode::Char(' ') => self.paused = !self.paused,
            KeyCode::Char('+') => self.speed = (self.speed * 2).min(MAX_SPEED),
            KeyCode::Char('-') => self.speed = (self.speed / 2).max(1),
            KeyCode::Char('n') => {
                let next = self.records.front().map_or(now, |record| record.at.max(now));
                self.go_on_from(next);
                return true;
            }
            _ => return false,
        }
        self.go_on_from(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harmony_core::event::Event;
    use ratatui::crossterm::event::KeyModifiers;

    fn records(seconds: &[i64]) -> Vec<Record> {
        let record = |(seq, second): (u64, &i64)| Record {
            seq,
            at: Timestamp::from_second(*second).expect("valid"),
            event: Event::ScoreStarted { score: format!("s{seq}") },
        };
        (1..).zip(seconds).map(record).collect()
    }

    fn press(replay: &mut Replay, key: char) {
        assert!(replay.on_key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE)));
    }

    #[tokio::test(start_paused = true)]
    async fn records_come_when_they_are_due_at_the_chosen_speed() {
        let mut replay = Replay::new(records(&[100, 140, 180, 170]), 10);
        let start = Instant::now();
        let mut times = Vec::new();
        while replay.next().await.is_some() {
            times.push((start.elapsed().as_secs(), replay.now().as_second()));
            if times.len() == 2 {
                press(&mut replay, '+');
            }
        }
        // An entry whose clock went back comes at once.
        assert_eq!(times, [(0, 100), (4, 140), (6, 180), (6, 180)]);
        tokio::time::advance(Duration::from_secs(1000)).await;
        assert_eq!(replay.now().as_second(), 180, "the run does not go on after its end");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_lasts_until_it_is_ended_or_stepped_over() {
        let mut replay = Replay::new(records(&[0, 60, 120]), 1);
        assert!(replay.next().await.is_some());
        press(&mut replay, ' ');
        let hour = Duration::from_secs(3600);
        assert!(tokio::time::timeout(hour, replay.next()).await.is_err());
        assert_eq!(replay.now().as_second(), 0);
        press(&mut replay, 'n');
        assert!(replay.next().await.is_some());
        assert_eq!(replay.now().as_second(), 60);
        assert!(tokio::time::timeout(hour, replay.next()).await.is_err());
        press(&mut replay, ' ');
        assert!(replay.next().await.is_some());
        assert_eq!(replay.banner().as_deref(), Some("replay 1×, at its end  Space + - n"));
    }

    /// Half steps of speed, and whether it stands.
    struct Steps(i32, bool);

    impl Tempo for Steps {
        fn pause_or_resume(&mut self) {
            self.1 = !self.1;
        }
        fn faster(&mut self) {
            self.0 += 1;
        }
        fn slower(&mut self) {
            self.0 -= 1;
        }
        fn text(&self) -> String {
            format!("{} {}", self.0, self.1)
        }
    }

    #[tokio::test]
    async fn keys_change_the_tempo_of_a_simulated_world_and_no_other_key_is_taken() {
        let (_sender, receiver) = broadcast::channel(1);
        let mut steered = Steered::new(receiver, Steps(0, false));
        for key in ['+', '+', '-', ' '] {
            assert!(steered.on_key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE)));
        }
        assert_eq!(steered.banner().as_deref(), Some("simulated 1 true  Space + -"));
        assert!(!steered.on_key(KeyEvent::new(KeyCode::Char('n'), KeyModifiers::NONE)));
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_how_much_it_missed() {
        let (sender, receiver) = broadcast::channel(2);
        let mut live = Live::new(receiver);
        for record in records(&[1, 2, 3, 4, 5]) {
            sender.send(record).expect("a reader is there");
        }
        drop(sender);
        assert_eq!(live.next().await, Some(Arrival::Missed(3)));
        assert!(matches!(live.next().await, Some(Arrival::Record(record)) if record.seq == 4));
        assert!(live.next().await.is_some());
        assert_eq!(live.next().await, None);
    }
}
