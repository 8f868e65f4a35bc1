//! The answer file of a host: Ignition 3.2.0, which every OKD release that boots SCOS understands.
//!
//! Source: Ignition `docs/configuration-v3_2.md`. Absent fields are left out, never `null`.
//! Read next: `merge` for how it is laid over the configuration of its role.

mod merge;

pub use merge::{merge, version};

use harmony_core::net::Hostname;
use ignition_config::v3_2::{Config, File, Passwd, Resource, Storage, User};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::{Keyfile, TemplateError, check};

/// Folder of NetworkManager's own connections.
pub(crate) const CONNECTIONS: &str = "/etc/NetworkManager/system-connections";
/// Unreserved characters of RFC 3986 section 2.3, and what keeps a keyfile readable in a plan.
const DATA: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b':').remove(b'=');

/// What a host is told at its first boot.
#[derive(Debug)]
pub struct NodeIgnition<'a> {
    /// Its name.
    pub hostname: &'a Hostname,
    /// OpenSSH public keys that may log in as `core`, without options.
    pub ssh_keys: &'a [&'a str],
    /// Its network.
    pub keyfiles: &'a [Keyfile],
}

/// The answer file of a host, as JSON.
///
/// # Errors
/// A key that is none, or a keyfile whose name is a path.
pub fn ignition(node: &NodeIgnition<'_>) -> Result<String, TemplateError> {
    for key in node.ssh_keys {
        check::ssh_key("ssh_keys", key)?;
    }
    let mut files = vec![file("/etc/hostname".into(), 0o644, &format!("{}\n", node.hostname))];
    for keyfile in node.keyfiles {
        check::word("keyfile", &keyfile.name)?;
        if keyfile.name.contains('/') {
            return Err(TemplateError::value("keyfile", &keyfile.name, "is no file name"));
        }
        files.push(file(format!("{CONNECTIONS}/{}", keyfile.name), 0o600, &keyfile.contents));
    }
    let mut core = User::new("core".into());
    core.ssh_authorized_keys = Some(node.ssh_keys.iter().map(|key| (*key).to_owned()).collect());
    let config = Config {
        passwd: Some(Passwd { users: Some(vec![core]), ..Passwd::default() }),
        storage: Some(Storage { files: Some(files), ..Storage::default() }),
        ..Config::default()
    };
    let text = serde_json::to_value(config).and_then(|mut json| {
        drop_nulls(&mut json);
        serde_json::to_string_pretty(&json)
    });
    text.map(|text| text + "\n")
        .map_err(|source| TemplateError::Ignition { hostname: node.hostname.to_string(), source })
}

pub(crate) fn file(path: String, mode: i64, contents: &str) -> File {
    let source = format!("data:,{}", utf8_percent_encode(contents, DATA));
    File {
        mode: Some(mode),
        overwrite: Some(true),
        contents: Some(Resource { source: Some(source), ..Resource::default() }),
        ..File::new(path)
    }
}

/// The generated types write some absent fields as `null`.
pub(crate) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(entries) => entries.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}
