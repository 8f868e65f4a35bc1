//! Whatever devices say and users type, in whatever order and size: no panic, no control character on the
//! screen, no action that the screen did not lead to.

use harmony_core::capability::{LinkState, PortMode};
use harmony_core::event::{Event, Outcome, Record};
use harmony_core::score::plan::{Deferred, StepSummary};
use harmony_tui::{Lines, Look, State, UserAction, view};
use jiff::Timestamp;
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::scenario::{self, Until};

#[derive(Debug, Clone)]
enum Happening {
    Record(Box<Record>),
    Key(KeyEvent),
    Resize(u16, u16),
}

/// What a hostile device would send, and plain text.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,40}",
        any::<String>(),
        Just("\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m".to_owned()),
        Just("日本語\u{202e}\u{200d}👩‍👩‍👧‍👦\r\n\t".to_owned()),
        Just("x".repeat(5000)),
    ]
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(text(), 0..4)
}

/// Few keys, so that records meet.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just("a".to_owned()), Just("hc-7KQ2M9X/install".to_owned()), text()]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Converged),
        Just(Outcome::Stopped),
        texts().prop_map(|waits_for| Outcome::PlanDone { waits_for }),
        (text(), prop::option::of(text())).prop_map(|(error, hint)| Outcome::Failed { error, hint }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let step = || (name(), name());
    let summary = (name(), text(), text()).prop_map(|(key, target, sentence)| StepSummary { key, target, sentence });
    let deferred =
        (prop_oneof![Just("roles".to_owned()), text()], text(), prop::option::of(text()), any::<Option<u64>>())
            .prop_map(|(key, waits_for, hint, limit_s)| Deferred { key, waits_for, hint, limit_s });
    prop_oneof![
        (text(), text(), texts()).prop_map(|(site, program, scores)| Event::RunStarted { site, program, scores }),
        name().prop_map(|score| Event::ScoreStarted { score }),
        (name(), prop::collection::vec(summary, 0..4), prop::collection::vec(deferred, 0..3))
            .prop_map(|(score, steps, deferred)| Event::Planned { score, steps, deferred }),
        (name(), any::<u32>(), text(), prop::option::of(text()))
            .prop_map(|(score, attempt, error, hint)| Event::ObservationFailed { score, attempt, error, hint }),
        (step(), any::<u32>()).prop_map(|((score, step), attempt)| Event::StepStarted { score, step, attempt }),
        (step(), text(), texts(), any::<u64>()).prop_map(|((score, step), waits_for, evidence, seconds_left)| {
            Event::StepWaiting { score, step, waits_for, evidence, seconds_left }
        }),
        (step(), any::<u64>()).prop_map(|((score, step), took_ms)| Event::StepFinished { score, step, took_ms }),
        (step(), text()).prop_map(|((score, step), evidence)| Event::StepRecovered { score, step, evidence }),
        (step(), any::<u32>(), text(), texts(), prop::option::of(text()), any::<bool>()).prop_map(
            |((score, step), attempt, error, evidence, hint, retries)| Event::StepFailed {
                score,
                step,
                attempt,
                error,
                evidence,
                hint,
                retries
            }
        ),
        step().prop_map(|(score, step)| Event::StepStopped { score, step }),
        (name(), outcome()).prop_map(|(score, outcome)| Event::ScoreFinished { score, outcome }),
        (outcome(), any::<u64>()).prop_map(|(outcome, took_ms)| Event::RunFinished {
            outcome,
            took_ms,
            writes: Default::default()
        }),
    ]
}

/// A record of the scripted run, its hosts and ports saying something else.
fn device() -> impl Strategy<Value = Event> {
    let scripted = scenario::records(Until::Ended).into_iter().map(|record| record.event);
    let told: Vec<_> =
        scripted.filter(|of| matches!(of, Event::HostChanged { .. } | Event::PortsRead { .. })).collect();
    (prop::sample::select(told), text(), texts(), any::<u64>()).prop_map(|(mut event, text, texts, number)| {
        match &mut event {
            Event::HostChanged { host } => {
                host.model = Some(text.clone());
                host.identity.serial = Some(text.clone());
                host.memory_bytes = Some(number);
                host.cpus = u32::try_from(number >> 32).ok();
                for disk in &mut host.disks {
                    (disk.name, disk.model, disk.size_bytes) = (text.clone(), Some(text.clone()), number);
                    (disk.serial, disk.signatures) = (texts.first().cloned(), texts.clone());
                }
                for nic in &mut host.nics {
                    (nic.name, nic.speed_mbps) = (text.clone(), u32::try_from(number >> 32).ok());
                }
            }
            Event::PortsRead { ports } => {
                for port in ports {
                    port.link = LinkState::Unrecognised(text.clone());
                    port.mode = PortMode::Unrecognised { text: text.clone() };
                }
            }
            _ => {}
        }
        event
    })
}

fn key() -> impl Strategy<Value = KeyEvent> {
    let code = prop_oneof![
        8 => prop::sample::select("1234hjklgGadf/q?ynxS2-".chars().collect::<Vec<_>>()).prop_map(KeyCode::Char),
        1 => any::<char>().prop_map(KeyCode::Char),
        6 => prop::sample::select(vec![
            KeyCode::Enter, KeyCode::Esc, KeyCode::Tab, KeyCode::Up, KeyCode::Down, KeyCode::Left, KeyCode::Right,
            KeyCode::PageUp, KeyCode::PageDown, KeyCode::Home, KeyCode::End, KeyCode::Backspace, KeyCode::Delete,
            KeyCode::F(1), KeyCode::Null,
        ]),
    ];
    (code, prop::bool::weighted(0.1)).prop_map(|(code, control)| {
        KeyEvent::new(code, if control { KeyModifiers::CONTROL } else { KeyModifiers::NONE })
    })
}

fn happening() -> impl Strategy<Value = Happening> {
    let record =
        (any::<u64>(), 0i64..2_000_000_000, prop_oneof![3 => event(), 1 => device()]).prop_map(|(seq, at, event)| {
            let at = Timestamp::from_second(at).expect("in range");
            Happening::Record(Box::new(Record { seq, at, event }))
        });
    prop_oneof![
        5 => record,
        8 => key().prop_map(Happening::Key),
        1 => (0u16..200, 0u16..70).prop_map(|(columns, rows)| Happening::Resize(columns, rows)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn nothing_makes_it_panic_or_lets_control_characters_through(
        happenings in prop::collection::vec(happening(), 1..60),
        unicode: bool,
        known: bool,
    ) {
        let mut state = State::new(Look { colour: true, unicode });
        let mut lines = Lines::default();
        if known {
            scenario::records(Until::Roles).iter().for_each(|record| state.on_record(record));
        }
        let mut size = (80, 24);
        for happening in happenings {
            match happening {
                Happening::Record(record) => {
                    state.on_record(&record);
                    let line = lines.line(&record).unwrap_or_default();
                    prop_assert!(!line.chars().any(|c| c.is_control() && c != '\n'), "{:?}", line);
                }
                Happening::Key(key) => {
                    for action in state.on_key(key) {
                        if let UserAction::Assign { disk, erase, .. } = action {
                            prop_assert!(disk.is_some());
                            prop_assert!(erase.is_none() || erase == disk);
                        }
                    }
                }
                Happening::Resize(columns, rows) => size = (columns, rows),
            }
            state.on_resize(size.0, size.1);
            let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).expect("a test backend");
            terminal.draw(|frame| view(&state, frame)).expect("a test backend takes everything");
            for cell in &terminal.backend().buffer().content {
                prop_assert!(!cell.symbol().chars().any(char::is_control), "{:?}", cell);
                prop_assert!(unicode || cell.symbol().is_ascii(), "{:?}", cell);
            }
        }
    }
}
