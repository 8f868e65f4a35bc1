//! What a machine's systems answer to commands over SSH: the few that Harmony and its tests use.
//!
//! `cat` of the files that matter, `hostname`, `uname`, `true`, `echo`, `reboot`; joined by `&&` or
//! `;`, with or without `sudo`. Anything else is "command not found", with status 127.

use std::time::Duration;

use harmony_core::capability::CommandOutput;

use super::{Machine, Running, proc_text};
use crate::world::State;

/// What came of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// It ended.
    Output(CommandOutput),
    /// It restarts the machine: the connection is lost.
    Restarts,
}

/// Runs a command line on the system that runs on a machine.
pub(crate) fn say(state: &State, id: usize, line: &str, now: Duration) -> Said {
    // The lines that restart machines, in the background or by whoever may, are more than this shell parses.
    if line.contains("systemctl reboot") {
        return Said::Restarts;
    }
    let mut output = CommandOutput { status: Some(0), stdout: String::new(), stderr: String::new() };
    for (at, part) in line.split(';').enumerate() {
        for command in part.split("&&").map(str::trim) {
            if command.is_empty() && at > 0 {
                continue;
            }
            match one(state, id, command, now) {
                Ok(None) => return Said::Restarts,
                Ok(Some(text)) => {
                    output.stdout.push_str(&text);
                    output.status = Some(0);
                }
                Err((status, text)) => {
                    output.stderr.push_str(&text);
                    output.status = Some(status);
                    break;
                }
            }
        }
    }
    Said::Output(output)
}

/// One command: its output, or status and error text; nothing if it restarts the machine.
fn one(state: &State, id: usize, command: &str, now: Duration) -> Result<Option<String>, (u32, String)> {
    let mut words: Vec<&str> = command.split_whitespace().filter(|word| *word != "2>/dev/null").collect();
    if words.first() == Some(&"sudo") {
        words.remove(0);
        words.retain(|word| *word != "-n");
    }
    let machine = &state.machines[id];
    match words.as_slice() {
        ["true" | ":"] => Ok(Some(String::new())),
        ["echo", rest @ ..] => Ok(Some(format!("{}\n", rest.join(" ")))),
        ["hostname"] => Ok(Some(format!("{}\n", hostname(machine)))),
        ["uname", "-r"] => Ok(Some("5.14.0-sim\n".to_owned())),
        ["cat", paths @ ..] if !paths.is_empty() => {
            let read = |path: &&str| {
                file(state, id, path, now).ok_or_else(|| (1, format!("cat: {path}: No such file or directory\n")))
            };
            paths.iter().map(read).collect::<Result<String, _>>().map(Some)
        }
        ["reboot", ..] | ["systemctl", "reboot", ..] => Ok(None),
        [program, ..] => Err((127, format!("sh: {program}: command not found\n"))),
        [] => Err((2, "sh: syntax error\n".to_owned())),
    }
}

fn hostname(machine: &Machine) -> &str {
    machine.system().map_or("localhost", |system| system.hostname.as_str())
}

fn file(state: &State, id: usize, path: &str, now: Duration) -> Option<String> {
    let machine = &state.machines[id];
    let (boot_id, since) = match &machine.running {
        Running::Live { boot_id, since, .. } | Running::System { boot_id, since, .. } => (boot_id, since),
        Running::Nothing | Running::Silent { .. } => return None,
    };
    match path {
        "/proc/sys/kernel/random/boot_id" => Some(format!("{boot_id}\n")),
        "/proc/uptime" => Some(format!("{}.00 0.00\n", now.saturating_sub(*since).as_secs())),
        "/etc/hostname" | "/proc/sys/kernel/hostname" => Some(format!("{}\n", hostname(machine))),
        _ => {
            let bond = machine.bond.as_ref()?;
            (path.strip_prefix("/proc/net/bonding/")? == bond.name).then(|| proc_text(state, id, bond, now))
        }
    }
}
