//! The real terminal: raw mode, a screen of its own, the thread that reads keys.
//!
//! Whatever ends the screen (return, dropped future, panic here or in any other thread) leaves the
//! terminal as it was. After a panic elsewhere the message is on the normal screen, and ours comes back
//! with the next frame.

use std::io::{self, IsTerminal, Stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use ratatui::crossterm::{cursor, execute, terminal};
use ratatui::layout::{Position, Rect};
use tokio::sync::mpsc;

use crate::driver::{Input, Surface};
use crate::error::TuiError;
use crate::state::State;
use crate::view;

/// Whether a [`Screen`] exists: raw mode and screen belong to the whole process.
static CLAIMED: AtomicBool = AtomicBool::new(false);
/// Whether the terminal shows our screen now.
static SHOWN: AtomicBool = AtomicBool::new(false);

/// How long the thread that reads keys may take to notice that it should end.
const KEY_POLL: Duration = Duration::from_millis(100);
/// Keys that may wait; more are typed by nobody.
const KEY_QUEUE: usize = 256;

/// Whether keys can be read from, and a screen be shown on, the process' standard input and output.
#[must_use]
pub fn is_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// The terminal while it is ours.
pub(crate) struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    pub(crate) fn open() -> Result<Self, TuiError> {
        restore_on_panic();
        if CLAIMED.swap(true, Ordering::SeqCst) {
            return Err(TuiError::InUse);
        }
        let terminal = enter().and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        terminal.map(Self).map_err(|error| {
            leave();
            CLAIMED.store(false, Ordering::SeqCst);
            TuiError::Open(error)
        })
    }

    pub(crate) fn size(&self) -> Result<(u16, u16), TuiError> {
        let size = self.0.size().map_err(TuiError::Open)?;
        Ok((size.width, size.height))
    }
}

impl Surface for Screen {
    fn draw(&mut self, state: &State) -> Result<(), TuiError> {
        if !SHOWN.load(Ordering::SeqCst) {
            enter().map_err(|error| TuiError::Draw(error.into()))?;
            self.forget()?;
        }
        self.0.draw(|frame| view(state, frame)).map(|_| ()).map_err(|error| TuiError::Draw(error.into()))
    }

    fn forget(&mut self) -> Result<(), TuiError> {
        // Not `Terminal::clear`: it asks the terminal where the cursor is, and the answer would come among
        // the keys that the other thread reads.
        let area = self.0.size().map(|size| Rect::from((Position::ORIGIN, size)));
        area.and_then(|area| self.0.resize(area)).map_err(|error| TuiError::Draw(error.into()))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
        CLAIMED.store(false, Ordering::SeqCst);
    }
}

fn enter() -> io::Result<()> {
    terminal::enable_raw_mode()?;
    SHOWN.store(true, Ordering::SeqCst);
    execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)
}

/// Gives the terminal back. A terminal that does not take it is gone, so errors tell nobody anything.
fn leave() {
    if SHOWN.swap(false, Ordering::SeqCst) {
        let _ = execute!(io::stdout(), terminal::LeaveAlternateScreen, cursor::Show);
        let _ = terminal::disable_raw_mode();
    }
}

/// A panic message on our screen would vanish with it.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            leave();
            before(info);
        }));
    });
}

/// The thread that reads keys; it ends when this is dropped.
pub(crate) struct Keyboard {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keyboard {
    pub(crate) fn listen() -> Result<(Self, mpsc::Receiver<Input>), TuiError> {
        let (sender, inputs) = mpsc::channel(KEY_QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("keys".to_owned()).spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                match next_input() {
                    // A full queue loses keys rather than holding up this thread's end.
                    Ok(input) => input.into_iter().for_each(|input| drop(sender.try_send(input))),
                    Err(error) => {
                        drop(sender.try_send(Input::Failed(error)));
                        return;
                    }
                }
            }
        });
        let thread = thread.map_err(TuiError::Keys)?;
        Ok((Self { stop, thread: Some(thread) }, inputs))
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // It has nothing to tell; a panic of its own was printed by the hook.
            let _ = thread.join();
        }
    }
}

/// What was typed or resized within [`KEY_POLL`].
fn next_input() -> io::Result<Option<Input>> {
    if !event::poll(KEY_POLL)? {
        return Ok(None);
    }
    Ok(match event::read()? {
        Event::Key(KeyEvent { kind: KeyEventKind::Release, .. }) => None,
        Event::Key(key) => Some(Input::Key(key)),
        Event::Resize(columns, rows) => Some(Input::Resize(columns, rows)),
        Event::FocusGained | Event::FocusLost | Event::Mouse(_) | Event::Paste(_) => None,
    })
}
