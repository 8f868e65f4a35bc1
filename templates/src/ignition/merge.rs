//! The role's configuration, as the installer wrote it, with a host's part laid over it.
//!
//! The base is secret: no error shows any of it, not even what a parser says, which quotes what it stumbles over.
//! It is merged as JSON, so that nothing is lost that the types do not know, and read through them before and after.
//! Source: Ignition `docs/operator-notes.md`, "Config merging".

use ignition_config::{Config, Error as E};
use serde_json::{Map, Value, json};

use crate::TemplateError;

/// More than any bootstrap configuration, in bytes.
const MAX_BASE_BYTES: usize = 32 << 20;

/// A role's configuration merged with a host's part ([`super::ignition()`]), at the version that the role's has.
///
/// What both say, the host's part wins: a file whole, and whatever else is at its path goes; of a user or a unit, each field.
/// SSH keys of both may log in. Every other field of the base stays as it is.
///
/// # Errors
/// A base that is no Ignition configuration of a known version, and a host's part that is none.
pub fn merge(base: &[u8], host: &str) -> Result<String, TemplateError> {
    let refuse = |reason: String| TemplateError::Base { reason };
    if base.len() > MAX_BASE_BYTES {
        return Err(refuse(format!("it has {} bytes, more than the {MAX_BASE_BYTES} allowed", base.len())));
    }
    let mut merged = known(base, "it")?;
    let version = merged["ignition"]["version"].clone();
    let mut part = known(host.as_bytes(), "the host's part")?;
    // Minor versions only add, and what a host is told exists in all of them.
    part["ignition"]["version"] = version;
    lay_over(&mut merged, part);
    let text = merged.to_string();
    known(text.as_bytes(), "what both come to")?;
    Ok(text)
}

/// The version of Ignition's specification that a configuration is of, `3.2.0`.
///
/// # Errors
/// One that is no Ignition configuration of a known version.
pub fn version(config: &[u8]) -> Result<String, TemplateError> {
    let version = known(config, "it")?["ignition"]["version"].as_str().map(str::to_owned);
    version.ok_or_else(|| TemplateError::Base { reason: "it says no version".to_owned() })
}

/// A configuration as JSON, once it was read through the types of its version.
fn known(config: &[u8], what: &str) -> Result<Value, TemplateError> {
    let value = Config::parse_slice(config).and_then(|_| Ok(serde_json::from_slice(config)?));
    value.map_err(|error| TemplateError::Base {
        reason: match error {
            // A parser quotes what it stumbled over; where that was is told without.
            E::Serialization(error) => {
                format!("{what} is no Ignition configuration (line {}, column {})", error.line(), error.column())
            }
            E::UnknownVersion(version) => {
                let (major, minor, patch) = (version.major, version.minor, version.patch);
                format!("{what} is of version {major}.{minor}.{patch}; 3.0.0 to 3.6.0 are known")
            }
            E::InvalidVersion(_) => format!("{what} says no version that can be understood"),
            _ => format!("{what} is no Ignition configuration"),
        },
    })
}

/// Lays `over` upon `base`, as Ignition merges a child into its parent, but for files: those are replaced whole.
fn lay_over(base: &mut Value, mut over: Value) {
    let files = over.get_mut("storage").and_then(|storage| storage.get_mut("files")).map(Value::take);
    if let Some(Value::Array(files)) = files {
        for file in files {
            place(base, file);
        }
    }
    if let Some(storage) = over.get_mut("storage").and_then(Value::as_object_mut) {
        storage.remove("files");
    }
    merge_values(base, over);
}

/// Puts a file where whatever the base has at its path was.
fn place(base: &mut Value, file: Value) {
    let Some(storage) = object(base).map(|base| base.entry("storage").or_insert_with(|| json!({}))).and_then(object)
    else {
        return;
    };
    for kind in ["files", "links", "directories"] {
        if let Some(Value::Array(entries)) = storage.get_mut(kind) {
            entries.retain(|entry| entry["path"] != file["path"]);
        }
    }
    if let Value::Array(files) = storage.entry("files").or_insert_with(|| json!([])) {
        files.push(file);
    }
}

/// An object; what is absent as `null` becomes one.
fn object(value: &mut Value) -> Option<&mut Map<String, Value>> {
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut()
}

fn merge_values(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge_values(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(base), Value::Array(over)) => {
            for value in over {
                // Users, groups and units are known by their names.
                let same = base.iter().position(|known| !value["name"].is_null() && known["name"] == value["name"]);
                match same {
                    Some(at) => merge_values(&mut base[at], value),
                    None if base.contains(&value) => {}
                    None => base.push(value),
                }
            }
        }
        (_, Value::Null) => {}
        (base, over) => *base = over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = r#"{"ignition":{"version":"3.2.0"},
        "passwd":{"users":[{"name":"core","sshAuthorizedKeys":["ssh-ed25519 HOST"]}]},
        "storage":{"files":[{"path":"/etc/hostname","mode":420,"overwrite":true,"contents":{"source":"data:,master-0%0A"}}]}}"#;

    fn merged(base: &Value) -> Value {
        serde_json::from_str(&merge(base.to_string().as_bytes(), HOST).expect("merges")).expect("JSON")
    }

    #[test]
    fn a_pointer_keeps_its_address_and_its_authority() {
        let base = json!({"ignition": {"version": "3.4.0",
            "config": {"merge": [{"source": "https://api-int.ocp4.example.com:22623/config/master"}]},
            "security": {"tls": {"certificateAuthorities": [{"source": "data:,CA"}]}}}});
        let merged = merged(&base);
        assert_eq!(merged["ignition"], base["ignition"]);
        assert_eq!(merged["storage"]["files"][0]["path"], "/etc/hostname");
    }

    #[test]
    fn at_one_path_the_hosts_part_wins_whatever_was_there() {
        let base = json!({"ignition": {"version": "3.2.0"}, "storage": {
            "files": [{"path": "/etc/hostname", "append": [{"source": "data:,x"}]}, {"path": "/etc/motd"}],
            "links": [{"path": "/etc/hostname", "target": "/dev/null"}, {"path": "/etc/localtime", "target": "x"}]}});
        let merged = merged(&base);
        let paths: Vec<_> =
            merged["storage"]["files"].as_array().expect("files").iter().map(|file| &file["path"]).collect();
        assert_eq!(paths, ["/etc/motd", "/etc/hostname"]);
        assert!(merged["storage"]["files"][1].get("append").is_none());
        assert_eq!(merged["storage"]["links"], json!([{"path": "/etc/localtime", "target": "x"}]));
    }

    #[test]
    fn a_user_keeps_what_the_host_does_not_say() {
        let base = json!({"ignition": {"version": "3.2.0"}, "storage": null, "passwd": {"users": [
            {"name": "core", "passwordHash": "HASH", "sshAuthorizedKeys": ["ssh-ed25519 ROLE"]}, {"name": "other"}]}});
        let users = merged(&base)["passwd"]["users"].clone();
        let keys = json!(["ssh-ed25519 ROLE", "ssh-ed25519 HOST"]);
        assert_eq!(
            users,
            json!([{"name": "core", "passwordHash": "HASH", "sshAuthorizedKeys": keys}, {"name": "other"}])
        );
    }

    #[test]
    fn what_is_no_configuration_is_refused_without_being_shown() {
        for (base, part) in [
            ("hunter2", "(line 1, column 1)"),
            ("", "line"),
            (r#"{"ignition":{"version":"hunter2"}}"#, "no version that can be understood"),
            (r#"{"ignition":{"version":"2.2.0"}}"#, "version 2.2.0; 3.0.0 to 3.6.0"),
            (r#"{"ignition":{"version":"3.9.0"}}"#, "version 3.9.0"),
            (r#"{"ignition":{"version":"3.2.0"},"passwd":"hunter2"}"#, "line 1"),
            (r#"{"ignition":{"version":"3.2.0"},"storage":{"files":[{"path":"/x","mode":"hunter2"}]}}"#, "line 1"),
        ] {
            let error = merge(base.as_bytes(), HOST).expect_err(base);
            let text = format!("{error} {error:?} {}", harmony_core::error::chain(&error));
            assert!(text.contains(part) && !text.contains("hunter2"), "{text}");
        }
        let base = br#"{"ignition":{"version":"3.2.0"}}"#;
        assert!(merge(base, "{}").expect_err("no host part").to_string().contains("the host's part"));
    }
}
