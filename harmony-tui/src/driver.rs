//! The loop that brings records, keys and time to the [`State`], and the state to the screen.
//!
//! Knows neither what is drawn nor what an action does.

use std::io;
use std::time::Duration;

use harmony_core::event::Record;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::action::{Notice, UserAction};
use crate::error::TuiError;
use crate::look::Look;
use crate::source::{Arrival, Replay, Source};
use crate::state::State;
use crate::terminal::{Keyboard, Screen};

/// At most 30 frames a second.
const FRAME: Duration = Duration::from_millis(34);
/// Durations on the screen count seconds.
const TICK: Duration = Duration::from_secs(1);

/// What comes from the terminal.
#[derive(Debug)]
pub(crate) enum Input {
    Key(KeyEvent),
    /// Columns and rows.
    Resize(u16, u16),
    Failed(io::Error),
}

/// Where frames go.
pub(crate) trait Surface {
    /// Shows the state.
    fn draw(&mut self, state: &State) -> Result<(), TuiError>;

    /// Somebody else wrote on it: the next frame is drawn whole.
    fn forget(&mut self) -> Result<(), TuiError>;
}

/// Shows a run on the process' terminal until the user leaves. What the user wants done goes to
/// `actions`; what is refused of it comes back by `notices`. Nothing else in the process may write to the
/// terminal meanwhile. Dropping the future restores the terminal.
///
/// # Errors
/// If the terminal fails; it has been restored as far as it lets itself be, and the run goes on.
pub async fn run<S: Source>(
    mut state: State,
    mut source: S,
    actions: mpsc::Sender<UserAction>,
    mut notices: mpsc::Receiver<Notice>,
) -> Result<(), TuiError> {
    let mut screen = Screen::open()?;
    let (columns, rows) = screen.size()?;
    state.on_resize(columns, rows);
    let (_keyboard, mut inputs) = Keyboard::listen()?;
    drive(&mut state, &mut source, &mut screen, &mut inputs, &actions, &mut notices).await
}

/// Shows a run that is over, `speed` times as fast as it was, until the user leaves. Keys pause it, change
/// its speed and step through it.
///
/// # Errors
/// If the terminal fails; it has been restored as far as it lets itself be.
pub async fn replay(records: Vec<Record>, speed: u32, look: Look) -> Result<(), TuiError> {
    let (actions, _nobody) = mpsc::channel(1);
    let (_nothing, notices) = mpsc::channel(1);
    run(State::new(look).read_only(), Replay::new(records, speed), actions, notices).await
}

pub(crate) async fn drive<S: Source, U: Surface>(
    state: &mut State,
    source: &mut S,
    surface: &mut U,
    inputs: &mut mpsc::Receiver<Input>,
    actions: &mpsc::Sender<UserAction>,
    notices: &mut mpsc::Receiver<Notice>,
) -> Result<(), TuiError> {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next_frame = Instant::now();
    let mut changed = true;
    let mut more = true;
    loop {
        // In order of urgency: a flood of records holds up neither frames nor keys.
        tokio::select! {
            biased;
            () = sleep_until(next_frame), if changed => {
                state.on_time(source.now());
                state.set_banner(source.banner());
                surface.draw(state)?;
                changed = false;
                next_frame = Instant::now() + FRAME;
                continue;
            }
            input = inputs.recv() => match input {
                Some(Input::Key(key)) => {
                    if is_redraw(key) {
                        surface.forget()?;
                    } else if !(state.hears_commands() && source.on_key(key)) && on_key(state, key, actions) {
                        return Ok(());
                    }
                }
                Some(Input::Resize(columns, rows)) => state.on_resize(columns, rows),
                Some(Input::Failed(error)) => return Err(TuiError::Keys(error)),
                None => return Err(TuiError::KeysEnded),
            },
            Some(notice) = notices.recv() => state.notify(notice),
            arrival = source.next(), if more => match arrival {
                Some(Arrival::Record(record)) => state.on_record(&record),
                Some(Arrival::Missed(missed)) => {
                    let text = format!("{missed} events came faster than they could be shown: what they told is missing here");
                    state.notify(Notice::refused(text));
                }
                None => {
                    more = false;
                    state.on_end();
                }
            },
            _ = tick.tick() => {}
        }
        changed = true;
    }
}

fn is_redraw(key: KeyEvent) -> bool {
    key.code == KeyCode::Char('l') && key.modifiers.contains(KeyModifiers::CONTROL)
}

/// Whether the user leaves.
fn on_key(state: &mut State, key: KeyEvent, actions: &mpsc::Sender<UserAction>) -> bool {
    for action in state.on_key(key) {
        let leaves = action == UserAction::Quit;
        // Not awaited: a runner that hangs must not take the screen with it.
        let undelivered = actions.try_send(action).err();
        if leaves {
            return true;
        }
        match undelivered {
            None => {}
            Some(mpsc::error::TrySendError::Full(action)) => {
                state.on_undelivered(&action, "the run is busy, try again")
            }
            Some(mpsc::error::TrySendError::Closed(action)) => {
                state.on_undelivered(&action, "nobody is there to do it, the run has gone");
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use harmony_core::event::Event;
    use jiff::Timestamp;

    /// Counts frames, and remembers the last message that one showed.
    #[derive(Default)]
    struct Frames {
        drawn: usize,
        forgotten: usize,
        notice: Option<String>,
    }

    impl Surface for Frames {
        fn draw(&mut self, state: &State) -> Result<(), TuiError> {
            self.drawn += 1;
            self.notice = state.ui.notice.as_ref().map(|(notice, _)| notice.text.clone());
            Ok(())
        }

        fn forget(&mut self) -> Result<(), TuiError> {
            self.forgotten += 1;
            Ok(())
        }
    }

    /// A record each millisecond, some of them lost, for a given time.
    struct Flood {
        until: Instant,
        began: bool,
    }

    impl Source for Flood {
        async fn next(&mut self) -> Option<Arrival> {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if !std::mem::replace(&mut self.began, true) {
                let event = Event::RunStarted { site: "s".into(), program: "p".into(), scores: vec![] };
                return Some(Arrival::Record(Box::new(Record { seq: 1, at: Timestamp::UNIX_EPOCH, event })));
            }
            (Instant::now() < self.until).then_some(Arrival::Missed(7))
        }

        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
    }

    struct Stage {
        keys: mpsc::Sender<Input>,
        notices: mpsc::Sender<Notice>,
        asked: mpsc::Receiver<UserAction>,
        shown: tokio::task::JoinHandle<(Result<(), TuiError>, Frames)>,
    }

    /// The loop over a flood of so many seconds.
    fn start(seconds: u64) -> Stage {
        let (keys, mut inputs) = mpsc::channel(8);
        let (notices, mut noticed) = mpsc::channel(8);
        let (actions, asked) = mpsc::channel(1);
        let mut source = Flood { until: Instant::now() + Duration::from_secs(seconds), began: false };
        let shown = tokio::spawn(async move {
            let mut state = State::new(Look { colour: false, unicode: true });
            let mut frames = Frames::default();
            let end = drive(&mut state, &mut source, &mut frames, &mut inputs, &actions, &mut noticed).await;
            (end, frames)
        });
        Stage { keys, notices, asked, shown }
    }

    impl Stage {
        async fn press(&self, key: char, modifiers: KeyModifiers) {
            let key = Input::Key(KeyEvent::new(KeyCode::Char(key), modifiers));
            self.keys.send(key).await.expect("the loop takes keys");
        }

        /// Time for a frame.
        async fn pass(&self, time: Duration) {
            tokio::time::sleep(time).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_records_holds_up_neither_frames_nor_keys() {
        let mut stage = start(10);
        stage.pass(Duration::from_secs(10)).await;
        stage.press('l', KeyModifiers::CONTROL).await;
        stage.press('c', KeyModifiers::CONTROL).await;
        assert_eq!(stage.asked.recv().await, Some(UserAction::Stop));
        drop(stage.keys);
        let (end, frames) = stage.shown.await.expect("no panic");
        assert!(matches!(end, Err(TuiError::KeysEnded)), "{end:?}");
        assert!((250..=301).contains(&frames.drawn), "{} frames in 10 s", frames.drawn);
        assert_eq!(frames.forgotten, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_run_is_drawn_once_a_second() {
        let stage = start(0);
        stage.pass(Duration::from_secs(60)).await;
        drop(stage.keys);
        let (_, frames) = stage.shown.await.expect("no panic");
        assert!((58..=66).contains(&frames.drawn), "{} frames in 60 s", frames.drawn);
        assert!(frames.notice.is_some_and(|text| text.contains("no more events arrive")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_of_the_runner_is_shown() {
        let stage = start(0);
        stage.pass(Duration::from_secs(1)).await;
        stage.notices.send(Notice::refused("role master-0 already belongs to brisk-otter")).await.expect("taken");
        stage.pass(Duration::from_secs(1)).await;
        drop(stage.keys);
        let (_, frames) = stage.shown.await.expect("no panic");
        assert_eq!(frames.notice.as_deref(), Some("role master-0 already belongs to brisk-otter"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_runner_does_not_hold_up_leaving() {
        let mut stage = start(0);
        stage.pass(Duration::from_secs(1)).await;
        for _ in 0..3 {
            stage.press('c', KeyModifiers::CONTROL).await;
        }
        let (end, _) = stage.shown.await.expect("no panic");
        assert!(end.is_ok());
        assert_eq!(stage.asked.recv().await, Some(UserAction::Stop));
        assert_eq!(stage.asked.recv().await, None, "the queue of one was full");
    }

    #[tokio::test(start_paused = true)]
    async fn an_action_that_nobody_takes_is_said_so() {
        let mut stage = start(0);
        stage.asked.close();
        stage.pass(Duration::from_secs(1)).await;
        stage.press('c', KeyModifiers::CONTROL).await;
        stage.pass(Duration::from_secs(1)).await;
        drop(stage.keys);
        let (_, frames) = stage.shown.await.expect("no panic");
        assert!(frames.notice.is_some_and(|text| text.contains("nobody is there to do it")));
    }
}
