//! Hosts as people name them: by id, friendly name, role, MAC, serial, or any unambiguous part of one.

use harmony_core::host::Host;

/// No host, or more than one, by that name.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// None.
    #[error("no host is called `{0}` (`harmony hosts` lists them)")]
    None(String),
    /// Several.
    #[error("`{text}` could be any of {}: write more of it", .labels.join(", "))]
    Several {
        /// What was asked for.
        text: String,
        /// The hosts that it fits.
        labels: Vec<String>,
    },
}

fn names(host: &Host) -> Vec<String> {
    let mut names = vec![host.id.to_string(), host.name.to_string()];
    names.extend(host.assignment.as_ref().map(|assignment| assignment.role.to_string()));
    names.extend(host.identity.serial.clone());
    names.extend(host.identity.uuid.map(|uuid| uuid.to_string()));
    names.extend(host.macs().iter().flat_map(|mac| [mac.to_string(), mac.hyphenated()]));
    names.iter().map(|name| name.to_ascii_lowercase()).collect()
}

/// The one host that the text names. A whole name wins over a part of another.
///
/// # Errors
/// If there is none, or more than one.
pub fn find_host<'a>(hosts: &'a [Host], text: &str) -> Result<&'a Host, FindError> {
    let wanted = text.trim().to_ascii_lowercase();
    let whole: Vec<&Host> = hosts.iter().filter(|host| names(host).contains(&wanted)).collect();
    let part =
        || hosts.iter().filter(|host| !wanted.is_empty() && names(host).iter().any(|name| name.contains(&wanted)));
    let found = if whole.is_empty() { part().collect() } else { whole };
    match found[..] {
        [host] => Ok(host),
        [] => Err(FindError::None(text.to_owned())),
        _ => Err(FindError::Several { text: text.to_owned(), labels: found.iter().map(|host| host.label()).collect() }),
    }
}
