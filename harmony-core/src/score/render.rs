//! A plan as text for people. The same plan gives the same text (P1).

use std::fmt::Write as _;

use super::plan::{Change, Plan};

/// Writes out every step with its exact changes, and what is waited for.
#[must_use]
pub fn render<A>(score: &str, plan: &Plan<A>) -> String {
    let mut out = String::new();
    let counts = match (plan.steps.len(), plan.deferred.len()) {
        (0, 0) => "nothing to do".to_owned(),
        (steps, 0) => format!("{steps} to do"),
        (steps, deferred) => format!("{steps} to do, {deferred} waiting"),
    };
    let _ = writeln!(out, "{score}: {counts}");
    for (number, step) in plan.steps.iter().enumerate() {
        let _ = writeln!(out, "\n  {}. {}", number + 1, step.sentence);
        let _ = writeln!(out, "     on {} [{}]", step.target, step.key);
        if !step.after.is_empty() {
            let _ = writeln!(out, "     after {}", step.after.join(", "));
        }
        for (name, value) in &step.expects {
            let _ = writeln!(out, "     if {name} is still {value}");
        }
        for change in &step.changes {
            render_change(&mut out, change);
        }
        let _ = writeln!(out, "     at most {} × {} s", step.bound.attempts, step.bound.deadline_s);
    }
    for deferred in &plan.deferred {
        let _ = writeln!(out, "\n  … waits for {} [{}]", deferred.waits_for, deferred.key);
        if let Some(hint) = &deferred.hint {
            let _ = writeln!(out, "     hint: {hint}");
        }
    }
    out
}

fn render_change(out: &mut String, change: &Change) {
    let _ = match change {
        Change::Command { device, text } => writeln!(out, "     $ {device}: {text}"),
        Change::File { path, before, after } => {
            let verb = match (before, after) {
                (None, _) => "new file",
                (_, None) => "remove file",
                _ => "change file",
            };
            let mut result = writeln!(out, "     {verb} {path}");
            for line in before.iter().filter(|_| before != after).flat_map(|text| text.lines()) {
                result = writeln!(out, "       - {line}");
            }
            for line in after.iter().filter(|_| before != after).flat_map(|text| text.lines()) {
                result = writeln!(out, "       + {line}");
            }
            result
        }
        Change::Record { name, text } => writeln!(out, "     record {name}: {text}"),
        Change::Erase { host, serial, contents } => writeln!(out, "     ERASE disk {serial} of {host}: {contents}"),
        Change::Wait { text } => writeln!(out, "     wait for {text}"),
    };
}
