//! Each screen at 80×24 and 120×40, at the points of a run where it matters.

use harmony_tui::{Lines, Look};

use crate::scenario::{self, Until};
use crate::{assert_screen, draw, press, state};

#[test]
fn before_anything() {
    let mut state = harmony_tui::State::new(crate::PLAIN);
    assert_screen("empty-run", &mut state);
    press(&mut state, "2");
    assert_screen("empty-hosts", &mut state);
}

#[test]
fn while_hosts_report() {
    let mut state = state(Until::Discovered);
    assert_screen("discovered-run", &mut state);
    press(&mut state, "2");
    assert_screen("discovered-hosts", &mut state);
    press(&mut state, "3");
    assert_screen("discovered-ports", &mut state);
}

#[test]
fn while_roles_are_waited_for() {
    let mut state = state(Until::Roles);
    assert_screen("roles-run", &mut state);
    press(&mut state, "2 Down Down");
    assert_screen("roles-hosts-disputed", &mut state);
    press(&mut state, "3 End");
    assert_screen("roles-ports-disputed", &mut state);
}

#[test]
fn the_assign_dialog() {
    let mut state = state(Until::Roles);
    press(&mut state, "2 /heron Enter a");
    assert_screen("assign-role", &mut state);
    press(&mut state, "Down Enter");
    assert_screen("assign-disk", &mut state);
    press(&mut state, "Down Enter S2 Enter");
    assert_screen("assign-consent", &mut state);
}

#[test]
fn while_hosts_install() {
    let mut state = state(Until::Installing);
    assert_screen("installing-run", &mut state);
    press(&mut state, "Enter");
    assert_screen("installing-run-details", &mut state);
    press(&mut state, "2 Down");
    assert_screen("installing-hosts", &mut state);
    press(&mut state, "Enter");
    assert_screen("installing-host-details", &mut state);
    press(&mut state, "4");
    assert_screen("installing-log", &mut state);
}

#[test]
fn when_it_has_ended() {
    let mut state = state(Until::Ended);
    assert_screen("ended-run", &mut state);
    press(&mut state, "2 End");
    assert_screen("ended-hosts", &mut state);
    press(&mut state, "3");
    assert_screen("ended-ports", &mut state);
    press(&mut state, "4 Home");
    assert_screen("ended-log-start", &mut state);
}

#[test]
fn help_and_questions() {
    let mut state = state(Until::Installing);
    press(&mut state, "?");
    assert_screen("help", &mut state);
    press(&mut state, "x q");
    assert_screen("question-stop", &mut state);
    press(&mut state, "y q");
    assert_screen("question-leave", &mut state);
}

#[test]
fn a_terminal_that_is_too_small_says_so() {
    let mut state = state(Until::Installing);
    insta::assert_snapshot!("too-small@40x8", draw(&mut state, 40, 8));
    insta::assert_snapshot!("smallest@60x15", draw(&mut state, 60, 15));
}

#[test]
fn a_terminal_without_unicode() {
    let look = Look { colour: false, unicode: false };
    let mut state = harmony_tui::State::new(look);
    scenario::records(Until::Installing).iter().for_each(|record| state.on_record(record));
    press(&mut state, "a");
    let screen = draw(&mut state, 80, 24);
    assert!(screen.buffer().content.iter().all(|cell| cell.symbol().is_ascii()));
    insta::assert_snapshot!("ascii@80x24", screen);
}

#[test]
fn colour_only_where_it_is_wanted() {
    use ratatui::style::Color;
    for colour in [true, false] {
        let mut state = harmony_tui::State::new(Look { colour, unicode: true });
        scenario::records(Until::Ended).iter().for_each(|record| state.on_record(record));
        let screen = draw(&mut state, 80, 24);
        let coloured = screen.buffer().content.iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset);
        assert_eq!(coloured, colour);
    }
}

#[test]
fn plain_lines() {
    let mut lines = Lines::default();
    let told: Vec<_> = scenario::records(Until::Ended).iter().filter_map(|record| lines.line(record)).collect();
    insta::assert_snapshot!("lines", told.join("\n"));
}
