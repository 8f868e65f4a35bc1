//! What goes to standard output.

use std::io::Write as _;

use harmony_core::host::Host;

use crate::CommandError;

/// Prints data. A reader that went away (`| head`) is no error.
pub(crate) fn print(text: &str) -> Result<(), CommandError> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CommandError::new(format!("failed to write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Hosts, a line each, unassigned first.
pub(crate) fn host_table(hosts: &[Host]) -> String {
    let mut rows: Vec<&Host> = hosts.iter().collect();
    rows.sort_by_key(|host| (host.assignment.as_ref().map(|assignment| assignment.role.clone()), host.name.clone()));
    let dash = || "-".to_owned();
    let mut text =
        format!("{:<11} {:<18} {:<12} {:<14} {:<5} {:<8} ADDRESS\n", "ID", "NAME", "STATE", "ROLE", "CPUS", "MEMORY");
    for host in rows {
        text.push_str(&format!(
            "{:<11} {:<18} {:<12} {:<14} {:<5} {:<8} {}\n",
            host.id,
            host.name,
            host.lifecycle,
            host.assignment.as_ref().map_or_else(dash, |assignment| assignment.role.to_string()),
            host.cpus.map_or_else(dash, |cpus| cpus.to_string()),
            host.memory_bytes.map_or_else(dash, |bytes| format!("{} MiB", bytes >> 20)),
            host.address.map_or_else(dash, |address| address.to_string()),
        ));
    }
    text
}
