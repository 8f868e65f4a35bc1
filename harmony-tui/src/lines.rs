//! Records as plain lines: for pipes, files and the TUI's log.
//!
//! A record is one line; evidence, errors and hints follow on lines of their own, indented. What repeats
//! (the same wait, a host or port that did not change in anything shown) is left out. The same records
//! give the same lines. Knows no screen.

use std::collections::BTreeMap;

use harmony_core::capability::{LinkState, PortStatus};
use harmony_core::event::{Event, Outcome, Record};
use harmony_core::host::{Host, HostId, PortWitness};
use harmony_core::net::PortRef;
use jiff::Timestamp;

use crate::state::rack::lacp_word;
use crate::text;
use crate::units::{clock, count, disk, duration, memory};

/// Columns before the text of a line that continues a record.
const INDENT: &str = "          ";

/// What a line means, for whoever colours it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Something happened.
    Info,
    /// Something came to its end as wanted.
    Good,
    /// Something waits for a person or a device.
    Attention,
    /// Something failed.
    Bad,
}

/// One record as text, free of control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it happened.
    pub at: Timestamp,
    /// What it means.
    pub level: Level,
    /// What happened, without the time.
    pub text: String,
    /// Evidence, hints, further lines.
    pub more: Vec<String>,
}

/// Turns records into lines; remembers what it has already told.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    colour: bool,
    sentences: BTreeMap<(String, String), String>,
    waits: BTreeMap<(String, String), (String, Vec<String>)>,
    deferred: BTreeMap<String, Vec<String>>,
    hosts: BTreeMap<HostId, String>,
    ports: BTreeMap<PortRef, String>,
}

impl Lines {
    /// Lines with ANSI colours, for terminals. `Lines::default()` has none.
    #[must_use]
    pub fn coloured() -> Self {
        Self { colour: true, ..Self::default() }
    }

    /// The record as text, with its time; several lines where there is evidence or a hint. `None` where
    /// it tells nothing new.
    #[must_use]
    pub fn line(&mut self, record: &Record) -> Option<String> {
        let entry = self.entry(record)?;
        let paint = match entry.level {
            Level::Info => None,
            Level::Good => Some("32"),
            Level::Attention => Some("33"),
            Level::Bad => Some("31"),
        };
        let mut line = match paint.filter(|_| self.colour) {
            Some(code) => format!("{} \u{1b}[{code}m{}\u{1b}[0m", clock(entry.at), entry.text),
            None => format!("{} {}", clock(entry.at), entry.text),
        };
        for more in &entry.more {
            line.push('\n');
            line.push_str(INDENT);
            line.push_str(more);
        }
        Some(line)
    }

    /// The record as text; `None` where it tells nothing new.
    #[must_use]
    pub fn entry(&mut self, record: &Record) -> Option<Entry> {
        let (level, text, more) = self.tell(&record.event)?;
        let more = more.iter().map(|line| text::clean(line).into_owned()).collect();
        Some(Entry { at: record.at, level, text: text::clean(&text).into_owned(), more })
    }

    fn tell(&mut self, event: &Event) -> Option<(Level, String, Vec<String>)> {
        Some(match event {
            Event::RunStarted { site, program, scores } => {
                (Level::Info, format!("run of {program} at {site}: {}", scores.join(", ")), vec![])
            }
            Event::ScoreStarted { score } => (Level::Info, format!("{score}: observing"), vec![]),
            Event::Planned { score, steps, deferred } => {
                // A plan follows each step that ends; only what it adds is news.
                let mut news = false;
                for step in steps {
                    let key = (score.clone(), step.key.clone());
                    news |= self.sentences.insert(key, step.sentence.clone()).is_none();
                }
                let mut more = Vec::new();
                for stage in deferred {
                    more.push(format!("waits for {}", stage.waits_for));
                    more.extend(stage.hint.iter().map(|hint| format!("hint: {hint}")));
                }
                let seen = self.deferred.insert(score.clone(), more.clone()).unwrap_or_default();
                if !news && (seen == more || more.is_empty()) {
                    return None;
                }
                let level = if deferred.is_empty() { Level::Info } else { Level::Attention };
                (level, format!("{score}: {} to do", count(steps.len(), "step")), more)
            }
            Event::ObservationFailed { score, attempt, error, hint } => {
                let text = format!("{score}: the site could not be looked at (attempt {attempt}): {error}");
                (Level::Attention, text, hint_line(hint).into_iter().collect())
            }
            Event::StepStarted { score, step, attempt } => {
                self.waits.remove(&(score.clone(), step.clone()));
                let again = if *attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
                (Level::Info, format!("{score}: started: {}{again}", self.sentence(score, step)), vec![])
            }
            Event::StepWaiting { score, step, waits_for, evidence, seconds_left } => {
                let told = (waits_for.clone(), evidence.clone());
                let before = self.waits.insert((score.clone(), step.clone()), told);
                let (old, seen) = before.unwrap_or_default();
                if old == *waits_for && seen == *evidence {
                    return None;
                }
                let fresh = evidence.iter().filter(|line| !seen.contains(line)).cloned().collect();
                let left = duration(*seconds_left);
                let sentence = self.sentence(score, step);
                (Level::Info, format!("{score}: {sentence}: waits for {waits_for} ({left} left)"), fresh)
            }
            Event::StepFinished { score, step, took_ms } => {
                let sentence = self.sentence(score, step);
                (Level::Good, format!("{score}: done in {}: {sentence}", duration(took_ms / 1000)), vec![])
            }
            Event::StepRecovered { score, step, evidence } => {
                let sentence = self.sentence(score, step);
                (Level::Good, format!("{score}: had already happened: {sentence}"), vec![evidence.clone()])
            }
            Event::StepFailed { score, step, attempt, error, evidence, hint, retries } => {
                let sentence = self.sentence(score, step);
                let (level, word) =
                    if *retries { (Level::Attention, ", will be tried again") } else { (Level::Bad, "") };
                let text = format!("{score}: FAILED (attempt {attempt}{word}): {sentence}: {error}");
                (level, text, evidence.iter().cloned().chain(hint_line(hint)).collect())
            }
            Event::StepStopped { score, step } => {
                (Level::Attention, format!("{score}: stopped: {}", self.sentence(score, step)), vec![])
            }
            Event::ScoreFinished { score, outcome } => told(score, outcome, None),
            Event::RunFinished { outcome, took_ms, .. } => told("run", outcome, Some(took_ms / 1000)),
            Event::HostChanged { host } => {
                let (level, text) = host_line(host);
                let before = self.hosts.insert(host.id.clone(), text.clone());
                return (before.as_ref() != Some(&text)).then_some((level, text, vec![]));
            }
            Event::HostForgotten { host } => {
                let name = self.hosts.remove(host).unwrap_or_else(|| host.to_string());
                (Level::Attention, format!("forgotten: {name}"), vec![])
            }
            Event::PortsRead { ports } => {
                let mut changed: Vec<_> = ports.iter().filter_map(|port| self.port(port)).collect();
                let text = match changed.len() {
                    0 => return None,
                    1 => changed.remove(0),
                    number => format!("{number} switch ports read:"),
                };
                (Level::Info, text, changed)
            }
        })
    }

    fn sentence<'a>(&'a self, score: &str, step: &'a str) -> &'a str {
        self.sentences.get(&(score.to_owned(), step.to_owned())).map_or(step, String::as_str)
    }

    /// The port's line, if it is new.
    fn port(&mut self, port: &PortStatus) -> Option<String> {
        let link = match &port.link {
            LinkState::Up => "up",
            LinkState::Down => "down",
            LinkState::Unrecognised(text) => text,
        };
        let lacp = port.lacp.as_ref().map(|lacp| format!(", LACP {}", lacp_word(lacp))).unwrap_or_default();
        let line = format!("port {}: {link}, {}{lacp}", port.port, port.mode);
        let before = self.ports.insert(port.port.clone(), line.clone());
        (before.as_ref() != Some(&line)).then_some(line)
    }
}

fn hint_line(hint: &Option<String>) -> Option<String> {
    hint.as_ref().map(|hint| format!("hint: {hint}"))
}

fn told(what: &str, outcome: &Outcome, took_s: Option<u64>) -> (Level, String, Vec<String>) {
    let after = took_s.map(|s| format!(" after {}", duration(s))).unwrap_or_default();
    match outcome {
        Outcome::Converged => (Level::Good, format!("{what}: converged{after}"), vec![]),
        Outcome::Stopped => (Level::Attention, format!("{what}: stopped by request{after}"), vec![]),
        Outcome::PlanDone { waits_for } => {
            let more = waits_for.iter().map(|line| format!("waits for {line}")).collect();
            (Level::Attention, format!("{what}: plan carried out{after}"), more)
        }
        Outcome::Failed { error, hint } => {
            (Level::Bad, format!("{what}: FAILED{after}: {error}"), hint_line(hint).into_iter().collect())
        }
    }
}

/// What is told of a host: what does not change with every sighting.
fn host_line(host: &Host) -> (Level, String) {
    let mut facts = vec![host.lifecycle.to_string()];
    match &host.assignment {
        Some(given) => facts.push(format!("role {}", given.role)),
        None if host.lifecycle.is_free() => facts.push("no role yet".to_owned()),
        None => {}
    }
    facts.extend(host.address.map(|address| format!("at {address}")));
    facts.extend(host.cpus.map(|cpus| count(cpus as usize, "CPU")));
    facts.extend(host.memory_bytes.map(memory));
    let disks = host.disks.iter().map(|of| format!("{} {}", of.name, disk(of.size_bytes)));
    facts.extend(disks.take(8));
    let mut level = Level::Info;
    for nic in &host.nics {
        if let PortWitness::Disputed(text) = nic.port.verdict() {
            level = Level::Attention;
            facts.push(format!("port of {} is disputed: {text}", nic.name));
        }
    }
    (level, format!("host {}: {}", host.label(), facts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use harmony_core::score::plan::{Deferred, StepSummary};

    fn line(lines: &mut Lines, event: Event) -> Option<String> {
        lines.line(&Record { seq: 1, at: Timestamp::UNIX_EPOCH, event })
    }

    fn waiting(waits_for: &str, evidence: &[&str], seconds_left: u64) -> Event {
        let evidence = evidence.iter().map(ToString::to_string).collect();
        Event::StepWaiting { score: "S".into(), step: "a".into(), waits_for: waits_for.into(), evidence, seconds_left }
    }

    fn planned(keys: &[&str], waits_for: &[&str]) -> Event {
        let step =
            |key: &&str| StepSummary { key: (*key).into(), target: String::new(), sentence: format!("do {key}") };
        let stage =
            |waits_for: &&str| Deferred { key: "k".into(), waits_for: (*waits_for).into(), hint: None, limit_s: None };
        Event::Planned {
            score: "S".into(),
            steps: keys.iter().map(step).collect(),
            deferred: waits_for.iter().map(stage).collect(),
        }
    }

    #[test]
    fn a_wait_is_told_again_only_when_it_changed_and_then_only_what_is_new() {
        let mut lines = Lines::default();
        let first = line(&mut lines, waiting("the agent", &["a seen"], 90));
        assert_eq!(first.as_deref(), Some("00:00:00Z S: a: waits for the agent (1:30 left)\n          a seen"));
        assert_eq!(line(&mut lines, waiting("the agent", &["a seen"], 60)), None);
        let more = line(&mut lines, waiting("the agent", &["a seen", "b seen"], 59));
        assert_eq!(more.as_deref(), Some("00:00:00Z S: a: waits for the agent (0:59 left)\n          b seen"));
        assert!(line(&mut lines, waiting("the bond", &["a seen", "b seen"], 58)).is_some());
    }

    #[test]
    fn plans_that_only_shrink_are_not_told() {
        let mut lines = Lines::default();
        assert!(line(&mut lines, planned(&["a", "b"], &["roles x, y"])).is_some());
        assert_eq!(line(&mut lines, planned(&["b"], &["roles x, y"])), None);
        assert!(line(&mut lines, planned(&["b"], &["roles y"])).is_some_and(|text| text.contains("waits for roles y")));
        assert_eq!(line(&mut lines, planned(&["b"], &[])), None);
        assert!(line(&mut lines, planned(&["b", "c"], &[])).is_some_and(|text| text.contains("2 steps to do")));
        assert_eq!(line(&mut lines, planned(&[], &[])), None);
    }

    #[test]
    fn a_look_that_failed_is_told_with_its_hint() {
        let hint = Some("check the cable of tor-1".to_owned());
        let event = Event::ObservationFailed { score: "S".into(), attempt: 2, error: "no answer".into(), hint };
        let told = line(&mut Lines::default(), event).expect("told");
        assert!(told.contains("(attempt 2): no answer") && told.contains("hint: check the cable of tor-1"), "{told}");
    }

    #[test]
    fn colours_are_for_terminals_and_devices_cannot_send_their_own() {
        let failed = |text: &str| Event::StepFailed {
            score: "S".into(),
            step: "a".into(),
            attempt: 1,
            error: text.into(),
            evidence: vec![text.into()],
            hint: None,
            retries: false,
        };
        let plain = line(&mut Lines::default(), failed("\u{1b}[32mfine\u{1b}[0m\n00:00:00Z forged"));
        let text = "S: FAILED (attempt 1): a: fine 00:00:00Z forged";
        assert_eq!(plain.as_deref(), Some(&*format!("00:00:00Z {text}\n          fine 00:00:00Z forged")));
        let coloured = line(&mut Lines::coloured(), failed("x"));
        let text = "S: FAILED (attempt 1): a: x";
        assert_eq!(coloured.as_deref(), Some(&*format!("00:00:00Z \u{1b}[31m{text}\u{1b}[0m\n          x")));
    }
}
