//! What a run came to: per host and phase, with times. Pure but for [`first_answers`].

use std::collections::BTreeMap;
use std::fmt::Write as _;

use harmony_core::boot::BootEventKind;
use harmony_core::event::{Event, Outcome, Record};
use harmony_core::host::{Host, HostId};
use harmony_core::store::{Store, StoreResult};
use jiff::Timestamp;

/// When each host's inventory agent was first known to answer over HTTP.
pub type FirstAnswers = BTreeMap<HostId, Timestamp>;

/// Reads from the evidence when each host's agent first answered: it announces itself once it
/// listens, so that is when its announcement came; one that cannot announce itself is first heard
/// when it is read, which makes the row.
///
/// # Errors
/// If the store cannot be read.
pub async fn first_answers(store: &dyn Store, hosts: &[Host]) -> StoreResult<FirstAnswers> {
    let mut answers = FirstAnswers::new();
    for host in hosts {
        let events = store.boot_events(&host.id, None).await?;
        let announced = events.iter().find(|event| matches!(event.kind, BootEventKind::Announced { .. }));
        let first = announced.map(|event| event.at).into_iter().chain(host.discovered_at).min();
        answers.extend(first.map(|at| (host.id.clone(), at)));
    }
    Ok(answers)
}

/// The summary of a run, with what the store knows of its hosts.
pub(crate) async fn summary_of(records: &[Record], store: &dyn Store) -> StoreResult<String> {
    let hosts = store.hosts().await?;
    Ok(summary(records, &hosts, &first_answers(store, &hosts).await?))
}

/// The phases that are shown, by the last part of a step's key.
const PHASES: [(&str, &str); 5] =
    [("boot", "RESTART"), ("install", "INSTALL"), ("bond", "BOND UP"), ("flip", "BUNDLE"), ("access", "ACCESS")];
/// The phase that counts from when it ended: everything later is seen against it.
const POWER_ON: &str = "power-on";

/// When a phase of a host last ended, and how long it took in all, in milliseconds.
#[derive(Clone, Copy)]
struct Phase {
    ended: Timestamp,
    took_ms: u64,
}

/// Phases by the owner in a step's key (a host, or `bmc/` and a BMC) and by name.
fn phases(records: &[Record]) -> BTreeMap<(String, String), Phase> {
    let mut phases: BTreeMap<(String, String), Phase> = BTreeMap::new();
    for record in records {
        if let Event::StepFinished { step, took_ms, .. } = &record.event
            && let Some((owner, phase)) = step.rsplit_once('/')
        {
            let name = phase.split('-').next().filter(|name| *name == "boot").unwrap_or(phase);
            let phase =
                phases.entry((owner.to_owned(), name.to_owned())).or_insert(Phase { ended: record.at, took_ms: 0 });
            phase.ended = record.at;
            phase.took_ms += took_ms;
        }
    }
    phases
}

/// The summary's text.
#[must_use]
pub fn summary(records: &[Record], hosts: &[Host], answers: &FirstAnswers) -> String {
    let start = records.first().map(|record| record.at);
    let phases = phases(records);
    let mut text =
        format!("\n{:<18} {:<10} {:<12} {:>9} {:>9} {:>9}", "HOST", "ROLE", "STATE", "ON AT", "AGENT AT", "KNOWN AT");
    for (_, title) in PHASES {
        let _ = write!(text, " {title:>9}");
    }
    text.push('\n');
    for host in hosts {
        let role = host.assignment.as_ref().map_or("-", |assignment| assignment.role.as_str());
        let phase = |name: &str| {
            let by_bmc = host.bmc.as_ref().map(|bmc| format!("bmc/{bmc}"));
            let mut owners = [Some(host.id.to_string()), by_bmc].into_iter().flatten();
            owners.find_map(|owner| phases.get(&(owner, name.to_owned()))).copied()
        };
        let _ = write!(
            text,
            "{:<18} {role:<10} {:<12} {:>9} {:>9} {:>9}",
            host.name,
            host.lifecycle,
            since(start, phase(POWER_ON).map(|phase| phase.ended)),
            since(start, answers.get(&host.id).copied()),
            since(start, host.discovered_at)
        );
        for (name, _) in PHASES {
            let took = phase(name).map_or_else(|| "-".to_owned(), |phase| seconds(phase.took_ms));
            let _ = write!(text, " {took:>9}");
        }
        text.push('\n');
    }
    let end = records.iter().rev().find_map(|record| match &record.event {
        Event::RunFinished { outcome, took_ms, writes } => Some((outcome, took_ms, writes)),
        _ => None,
    });
    if let Some((outcome, took_ms, writes)) = end {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_s_way_is_told_from_power_on_to_its_row() {
        let at = |seconds: i64| Timestamp::from_second(1_795_000_000 + seconds).expect("in range");
        let id = HostId::derive("a", 0);
        let host: Host = serde_json::from_value(serde_json::json!({
            "id": id, "name": "brisk-otter", "identity": { "uuid": null, "serial": "S", "macs": [] },
            "lifecycle": "discovered", "assignment": null, "model": null, "firmware": null, "cpus": null,
            "memory_bytes": null, "nics": [], "disks": [], "address": null, "bmc": "node-a",
            "discovered_at": at(12), "last_seen": at(12), "revision": 1,
        }))
        .expect("a host");
        let finished = |seconds, step: &str, took_ms| Record {
            seq: 1,
            at: at(seconds),
            event: Event::StepFinished { score: "S".into(), step: step.to_owned(), took_ms },
        };
        let records = [
            finished(0, "x", 0),
            finished(2, "bmc/node-a/power-on", 100),
            finished(40, &format!("{id}/install"), 20_500),
        ];
        let text = summary(&records, &[host], &[(id, at(11))].into());
        let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0][3..9], ["ON", "AT", "AGENT", "AT", "KNOWN", "AT"], "{text}");
        assert_eq!(
            rows[1],
            ["brisk-otter", "-", "discovered", "2.0", "s", "11.0", "s", "12.0", "s", "-", "20.5", "s", "-", "-", "-"]
        );
    }
}
