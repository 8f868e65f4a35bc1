//! The real terminal loop on a pseudo-terminal: keys arrive, and whatever ends the screen, the terminal is
//! as it was before.
//!
//! The screen runs in a process of its own: this test binary again, asked for [`child`] alone.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::mpsc;
use std::time::Duration;

use harmony_core::event::Record;
use harmony_tui::{Arrival, Live, Look, Source, State, TuiError};
use jiff::Timestamp;
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{Termios, tcgetattr};
use tokio::sync::broadcast;

use crate::scenario::{self, Until};

const MODE: &str = "HARMONY_TUI_TEST_CHILD";
/// Nobody waits this long unless something is broken.
const PATIENCE: Duration = Duration::from_secs(60);
const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";
const SHOW_CURSOR: &str = "\u{1b}[?25h";

/// A screen in a process of its own, and what it wrote.
struct Session {
    child: Child,
    keys: File,
    terminal: OwnedFd,
    before: Termios,
    output: mpsc::Receiver<Vec<u8>>,
    /// Everything written since the last wait for bytes.
    written: String,
    screen: vt100::Parser,
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Session {
    fn start(mode: &str) -> Self {
        let [rows, columns] = [30, 100].map(|size| NonZero::new(size).expect("not zero"));
        let size = Winsize { ws_row: rows.get(), ws_col: columns.get(), ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).expect("a pseudo-terminal");
        let before = tcgetattr(&pty.slave).expect("attributes");
        let end = || pty.slave.try_clone().expect("a descriptor");
        let child = Command::new("setsid")
            .arg("--ctty")
            .arg(std::env::current_exe().expect("this binary"))
            .args(["--exact", "terminal::child", "--ignored", "--nocapture"])
            .env(MODE, mode)
            .env("TERM", "xterm-256color")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("setsid of util-linux");
        let keys = File::from(pty.master);
        let mut reader = keys.try_clone().expect("a descriptor");
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut bytes) {
                if sender.send(bytes[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        let screen = vt100::Parser::new(rows, columns, 0);
        Self { child, keys, terminal: pty.slave, before, output, written: String::new(), screen }
    }

    /// Waits until this was written after what was waited for before.
    fn wait_for(&mut self, wanted: &str) {
        while !self.written.contains(wanted) {
            self.read(wanted);
        }
        let end = self.written.find(wanted).map_or(0, |at| at + wanted.len());
        self.written.drain(..end);
    }

    /// Waits until this is on the screen.
    fn wait_to_see(&mut self, wanted: &str) {
        while !self.screen.screen().contents().contains(wanted) {
            self.read(wanted);
        }
    }

    fn read(&mut self, wanted: &str) {
        match self.output.recv_timeout(PATIENCE) {
            Ok(bytes) => {
                self.written.push_str(&String::from_utf8_lossy(&bytes));
                self.screen.process(&bytes);
            }
            Err(error) => {
                let screen = self.screen.screen().contents();
                panic!("`{wanted}` did not come ({error}); written: {:?}; seen:\n{screen}", self.written)
            }
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Waits for its end; the terminal must be as it was. Whether it succeeded.
    fn end(mut self) -> bool {
        let status = self.child.wait().expect("a child");
        let after = tcgetattr(&self.terminal).expect("attributes");
        assert_eq!(after.local_flags, self.before.local_flags);
        assert_eq!(after.input_flags, self.before.input_flags);
        assert_eq!(after.output_flags, self.before.output_flags);
        status.success()
    }
}

#[test]
fn keys_become_actions_and_leaving_restores_the_terminal() {
    let mut session = Session::start("stay");
    session.wait_for(ENTER);
    session.wait_to_see("virtual_rack at rack-7");
    session.press("a");
    session.wait_to_see("Role for brisk-otter");
    session.press("\r");
    session.wait_to_see("asked for");
    session.press("\u{3}");
    session.wait_to_see("stopping");
    session.press("\u{3}");
    session.wait_to_see("Leave without waiting");
    session.press("y");
    session.wait_for(LEAVE);
    session.wait_for(SHOW_CURSOR);
    session.wait_for("ACTION Assign { host: hc-7KQ2M9X, role: master-0, disk: Some(\"S1-vda\"), erase: None }");
    session.wait_for("ACTION Stop");
    session.wait_for("ACTION Quit");
    assert!(session.end());
}

#[test]
fn a_panic_of_the_screen_restores_the_terminal_and_shows_the_message() {
    let mut session = Session::start("panic");
    session.wait_for(ENTER);
    session.wait_for(LEAVE);
    session.wait_for(SHOW_CURSOR);
    session.wait_for("this panic is part of the test");
    assert!(!session.end());
}

#[test]
fn a_panic_elsewhere_is_told_and_the_screen_comes_back() {
    let mut session = Session::start("panic-elsewhere");
    session.wait_for(ENTER);
    session.wait_for(LEAVE);
    session.wait_for("this panic is part of the test");
    session.wait_for(ENTER);
    session.wait_to_see("virtual_rack at rack-7");
    session.press("\u{3}\u{3}\u{3}");
    session.wait_for(LEAVE);
    assert!(session.end());
}

#[test]
fn dropping_the_future_restores_the_terminal() {
    let mut session = Session::start("drop");
    session.wait_for(ENTER);
    session.wait_for(LEAVE);
    session.wait_for("DROPPED, open again: ok");
    assert!(session.end());
}

/// The scripted run, then whatever the mode says.
struct Script {
    live: Live,
    mode: String,
    at_end: Option<tokio::sync::oneshot::Sender<()>>,
}

impl Source for Script {
    async fn next(&mut self) -> Option<Arrival> {
        let arrival = self.live.next().await;
        if arrival.is_some() {
            return arrival;
        }
        if let Some(at_end) = self.at_end.take() {
            match &*self.mode {
                "panic" => panic!("this panic is part of the test"),
                "panic-elsewhere" => {
                    let thread = std::thread::spawn(|| panic!("this panic is part of the test"));
                    assert!(thread.join().is_err());
                    return Some(Arrival::Missed(1));
                }
                _ => drop(at_end.send(())),
            }
        }
        std::future::pending().await
    }

    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

fn script(mode: &str, records: Vec<Record>) -> (Script, tokio::sync::oneshot::Receiver<()>) {
    let (sender, receiver) = broadcast::channel(256);
    records.into_iter().for_each(|record| drop(sender.send(record)));
    let (at_end, reached) = tokio::sync::oneshot::channel();
    (Script { live: Live::new(receiver), mode: mode.to_owned(), at_end: Some(at_end) }, reached)
}

#[test]
#[ignore = "the process that the other tests start"]
fn child() {
    let Ok(mode) = std::env::var(MODE) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let (actions, mut asked) = tokio::sync::mpsc::channel(8);
        let (_notices, notices) = tokio::sync::mpsc::channel(8);
        let look = Look { colour: false, unicode: true };
        let (source, reached) = script(&mode, scenario::records(Until::Roles));
        let shown = harmony_tui::run(State::new(look), source, actions, notices);
        if mode == "drop" {
            tokio::select! {
                ended = shown => panic!("{ended:?}"),
                _ = reached => {}
            }
            println!("DROPPED, open again: {}", open_twice().await);
            return;
        }
        // Nothing is sent between threads here, but users do.
        let shown: std::pin::Pin<Box<dyn Future<Output = Result<(), TuiError>> + Send>> = Box::pin(shown);
        shown.await.expect("the screen ends well");
        while let Ok(action) = asked.try_recv() {
            println!("ACTION {action:?}");
        }
    });
}

/// After a screen was closed another can be opened, but not two at once.
async fn open_twice() -> &'static str {
    let look = Look { colour: false, unicode: true };
    let screen = || async move {
        let (source, _reached) = script("stay", Vec::new());
        let (actions, _asked) = tokio::sync::mpsc::channel(8);
        let (_notices, notices) = tokio::sync::mpsc::channel(8);
        harmony_tui::run(State::new(look), source, actions, notices).await
    };
    tokio::select! {
        biased;
        _ = screen() => "the first ended",
        second = screen() => if matches!(second, Err(TuiError::InUse)) { "ok" } else { "two at once" },
    }
}
