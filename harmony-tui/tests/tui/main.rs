//! The screens as a user sees them, driven by records and keys through the public interface.

mod properties;
mod scenario;
mod screens;
mod terminal;
mod user;

use harmony_tui::{Look, State, UserAction, view};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use scenario::Until;

/// Without colours, so that what is tested is readable without them.
const PLAIN: Look = Look { colour: false, unicode: true };

fn state(until: Until) -> State {
    let mut state = State::new(PLAIN);
    for record in scenario::records(until) {
        state.on_record(&record);
    }
    state
}

/// Keys by their names, anything else typed letter by letter.
fn press(state: &mut State, keys: &str) -> Vec<UserAction> {
    let mut actions = Vec::new();
    let mut hit = |code, modifiers| actions.extend(state.on_key(KeyEvent::new(code, modifiers)));
    for word in keys.split(' ') {
        match word {
            "Enter" => hit(KeyCode::Enter, KeyModifiers::NONE),
            "Esc" => hit(KeyCode::Esc, KeyModifiers::NONE),
            "Tab" => hit(KeyCode::Tab, KeyModifiers::NONE),
            "Up" => hit(KeyCode::Up, KeyModifiers::NONE),
            "Down" => hit(KeyCode::Down, KeyModifiers::NONE),
            "PageUp" => hit(KeyCode::PageUp, KeyModifiers::NONE),
            "PageDown" => hit(KeyCode::PageDown, KeyModifiers::NONE),
            "Home" => hit(KeyCode::Home, KeyModifiers::NONE),
            "End" => hit(KeyCode::End, KeyModifiers::NONE),
            "Ctrl-C" => hit(KeyCode::Char('c'), KeyModifiers::CONTROL),
            "Ctrl-U" => hit(KeyCode::Char('u'), KeyModifiers::CONTROL),
            text => text.chars().for_each(|typed| hit(KeyCode::Char(typed), KeyModifiers::NONE)),
        }
    }
    actions
}

fn draw(state: &mut State, columns: u16, rows: u16) -> TestBackend {
    state.on_resize(columns, rows);
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).expect("a test backend");
    terminal.draw(|frame| view(state, frame)).expect("a test backend takes everything");
    terminal.backend().clone()
}

/// The screen at both sizes that must be readable.
fn assert_screen(name: &str, state: &mut State) {
    for (columns, rows) in [(80, 24), (120, 40)] {
        let screen = draw(state, columns, rows);
        insta::assert_snapshot!(format!("{name}@{columns}x{rows}"), screen);
    }
}
