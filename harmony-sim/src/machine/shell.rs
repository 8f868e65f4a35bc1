//! What a machine's systems answer to commands over SSH: the few that Harmony and its tests use.
//!
//! `cat` of the files that matter, `date +%s`, `hostname`, `uname`, `true`, `echo`, `reboot`; joined by `&&` or
//! `;`, with or without `sudo`; and `harmony-inventory-agent wipe`. Anything else is "command not found", with status 127.

use std::time::Duration;

use harmony_core::capability::CommandOutput;

use super::{Disk, Machine, Running, proc_text};
use crate::services::Clocks;
use crate::world::State;

/// What came of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// It ended.
    Output(CommandOutput),
    /// It restarts the machine: the connection is lost.
    Restarts,
    /// It wipes disks of the machine, by their indices.
    Wipes(Vec<usize>),
}

/// What the inventory environment's agent is called with to wipe disks.
const WIPE: &str = "harmony-inventory-agent wipe ";

/// Runs a command line on the system that runs on a machine.
pub(crate) fn say(state: &State, id: usize, line: &str, now: Duration, clocks: Clocks) -> Said {
    // The lines that restart machines, in the background or by whoever may, are more than this shell parses.
    if line.contains("systemctl reboot") {
        return Said::Restarts;
    }
    if let Some((_, args)) = line.split_once(WIPE) {
        return wipe(&state.machines[id], args);
    }
    let mut output = CommandOutput { status: Some(0), stdout: String::new(), stderr: String::new() };
    for (at, part) in line.split(';').enumerate() {
        for command in part.split("&&").map(str::trim) {
            if command.is_empty() && at > 0 {
                continue;
            }
            match one(state, id, command, now, clocks) {
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

/// The agent's `wipe --disk SERIAL… [--boot-entries]`, as far as it refuses.
fn wipe(machine: &Machine, args: &str) -> Said {
    let refuse = |why: String| {
        Said::Output(CommandOutput { status: Some(1), stdout: String::new(), stderr: format!("error: {why}\n") })
    };
    if !matches!(machine.running, Running::Live { agent: true, .. }) {
        return Said::Output(CommandOutput {
            status: Some(127),
            stdout: String::new(),
            stderr: "sh: harmony-inventory-agent: command not found\n".to_owned(),
        });
    }
    let mut words = args.split_whitespace().map(|word| word.trim_matches('\''));
    let mut disks = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "--boot-entries" => {}
            "--disk" => {
                let serial = words.next().unwrap_or_default();
                let is_it = |disk: &Disk| disk.is_present && disk.spec.serial.as_deref() == Some(serial);
                match machine.disks.iter().position(is_it) {
                    Some(disk) => disks.push(disk),
                    None => return refuse(format!("no disk has the serial `{serial}`")),
                }
            }
            other => return refuse(format!("`{other}` is no option of wipe")),
        }
    }
    if disks.is_empty() { refuse("wipe needs --disk SERIAL".to_owned()) } else { Said::Wipes(disks) }
}

/// One command: its output, or status and error text; nothing if it restarts the machine.
fn one(
    state: &State,
    id: usize,
    command: &str,
    now: Duration,
    clocks: Clocks,
) -> Result<Option<String>, (u32, String)> {
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
        ["date", "+%s"] => {
            let passed = i64::try_from(clocks.speed.outside(now).as_secs()).unwrap_or(i64::MAX);
            let second = clocks.epoch.as_second().saturating_add(passed).saturating_add(machine.clock_ahead_s);
            Ok(Some(format!("{second}\n")))
        }
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
