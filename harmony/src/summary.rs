//! What a run came to: per host and phase, with times. Pure: made of the run's records.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use harmony_core::event::{Event, Outcome, Record};
use harmony_core::host::Host;
use jiff::Timestamp;

/// When the steps of one host ended, and how long each took.
#[derive(Default)]
struct Phases(BTreeMap<String, u64>);

/// The phases that are shown, by the last part of a step's key.
const PHASES: [(&str, &str); 6] = [
    ("power-on", "POWER ON"),
    ("boot", "RESTART"),
    ("install", "INSTALL"),
    ("bond", "BOND UP"),
    ("flip", "BUNDLE"),
    ("access", "ACCESS"),
];

/// The summary's text.
#[must_use]
pub fn summary(records: &[Record], hosts: &[Host]) -> String {
    let mut text = String::from("\n");
    let start = records.first().map(|record| record.at);
    let mut phases: BTreeMap<String, Phases> = BTreeMap::new();
    for record in records {
        if let Event::StepFinished { step, took_ms, .. } = &record.event
            && let Some((owner, phase)) = step.rsplit_once('/')
        {
            let name = phase.split('-').next().filter(|name| *name == "boot").unwrap_or(phase);
            *phases.entry(owner.to_owned()).or_default().0.entry(name.to_owned()).or_default() += took_ms;
        }
    }
    let _ = write!(text, "{:<18} {:<10} {:<12} {:>10}", "HOST", "ROLE", "STATE", "KNOWN AT");
    for (_, title) in PHASES {
        let _ = write!(text, " {title:>9}");
    }
    text.push('\n');
    for host in hosts {
        let role = host.assignment.as_ref().map_or("-", |assignment| assignment.role.as_str());
        let _ = write!(
            text,
            "{:<18} {role:<10} {:<12} {:>10}",
            host.name,
            host.lifecycle,
            since(start, host.discovered_at)
        );
        let by_bmc = host.bmc.as_ref().and_then(|bmc| phases.get(&format!("bmc/{bmc}")));
        let own = phases.get(host.id.as_str());
        for (phase, _) in PHASES {
            let took = [own, by_bmc].into_iter().flatten().find_map(|phases| phases.0.get(phase));
            let _ = write!(text, " {:>9}", took.map_or_else(|| "-".to_owned(), |ms| seconds(*ms)));
        }
        text.push('\n');
    }
    for record in records {
        if let Event::RunFinished { outcome, took_ms, writes } = &record.event {
            let _ = match outcome {
                Outcome::Converged => writeln!(text, "\nas wanted, after {}", seconds(*took_ms)),
                Outcome::Stopped => writeln!(text, "\nstopped after {}; run again to go on", seconds(*took_ms)),
                Outcome::PlanDone { waits_for } => {
                    writeln!(
                        text,
                        "\nthe plan is done, after {}; the rest waits for:\n  {}",
                        seconds(*took_ms),
                        waits_for.join("\n  ")
                    )
                }
                Outcome::Failed { error, hint } => {
                    let hint = hint.as_ref().map_or_else(String::new, |hint| format!("\nhint: {hint}"));
                    writeln!(text, "\nfailed after {}:\n{error}{hint}", seconds(*took_ms))
                }
            };
            let counts: Vec<String> = writes.iter().map(|(driver, count)| format!("{driver} {count}")).collect();
            let counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
            let _ = writeln!(text, "changes sent to devices: {counts}");
        }
    }
    text
}

fn since(start: Option<Timestamp>, at: Option<Timestamp>) -> String {
    match (start, at) {
        (Some(start), Some(at)) if at >= start => format!("{:.1} s", at.duration_since(start).as_secs_f64()),
        (_, Some(_)) => "before".to_owned(),
        _ => "-".to_owned(),
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}
