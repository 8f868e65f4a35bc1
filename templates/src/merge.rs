//! A role's Ignition config, which is secret, with a host's own part merged onto it.
//!
//! The host's part wins where both say something of the same path or user. Everything else of the role's config stays, whatever
//! its version has that the host's has not. No error shows anything of either.
//! Source: Ignition `docs/configuration-v3_5.md`; merging by key: `docs/operator-notes.md`, "Config merging".

use serde_json::{Map, Value};

use crate::TemplateError;

/// The role's config with the host's part, as JSON, at the version of the role's.
///
/// # Errors
/// A config that Ignition would not take.
pub fn merge(base: &[u8], host: &str) -> Result<String, TemplateError> {
    let mut merged = read(base, "the role's config")?;
    let own = read(host.as_bytes(), "the host's part")?;
    by_key(&mut merged, &own, ["storage", "files"], "path", |_, own| own.clone());
    by_key(&mut merged, &own, ["passwd", "users"], "name", one_user);
    let text = serde_json::to_string(&merged).map_err(|source| refused("the merged config", &source))?;
    check(text.as_bytes(), "the merged config")?;
    Ok(text)
}

fn read(bytes: &[u8], what: &'static str) -> Result<Value, TemplateError> {
    check(bytes, what)?;
    serde_json::from_slice(bytes).map_err(|source| refused(what, &source))
}

/// The generated types know which versions there are, and what every field must be.
fn check(bytes: &[u8], what: &'static str) -> Result<(), TemplateError> {
    let json: Value = serde_json::from_slice(bytes).map_err(|source| refused(what, &source))?;
    let version = json["ignition"]["version"].as_str().unwrap_or_default();
    match ignition_config::Config::parse_slice(bytes) {
        Ok(_) if version.starts_with("3.") => Ok(()),
        // What the parser says may quote the file.
        _ => Err(TemplateError::Merge {
            what,
            reason: "it is no Ignition config of a version 3 that is known".to_owned(),
        }),
    }
}

/// Where it stops to be JSON; not what stands there.
fn refused(what: &'static str, source: &serde_json::Error) -> TemplateError {
    TemplateError::Merge {
        what,
        reason: format!("it is no JSON at line {}, column {}", source.line(), source.column()),
    }
}

/// Adds the entries of a list, each in the place of the one that has the same key.
fn by_key(
    merged: &mut Value,
    own: &Value,
    [section, list]: [&str; 2],
    key: &str,
    both: impl Fn(&Value, &Value) -> Value,
) {
    let Some(entries) = own[section][list].as_array() else { return };
    let Some(section) = object(merged, section) else { return };
    let there = section.entry(list.to_owned()).or_insert_with(|| Value::Array(Vec::new()));
    if there.is_null() {
        *there = Value::Array(Vec::new());
    }
    let Some(there) = there.as_array_mut() else { return };
    for entry in entries {
        match there.iter_mut().find(|other| other[key] == entry[key]) {
            Some(other) => *other = both(other, entry),
            None => there.push(entry.clone()),
        }
    }
}

fn object<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut Map<String, Value>> {
    let entry = value.as_object_mut()?.entry(key.to_owned()).or_insert_with(|| Value::Object(Map::new()));
    if entry.is_null() {
        *entry = Value::Object(Map::new());
    }
    entry.as_object_mut()
}

/// A user keeps what the role's config gives it, and gets the host's keys besides.
fn one_user(base: &Value, own: &Value) -> Value {
    let mut user = base.clone();
    let Some(fields) = user.as_object_mut() else { return own.clone() };
    for (field, value) in own.as_object().into_iter().flatten() {
        match (fields.get_mut(field).and_then(Value::as_array_mut), value.as_array()) {
            (Some(there), Some(more)) => {
                for entry in more {
                    if !there.contains(entry) {
                        there.push(entry.clone());
                    }
                }
            }
            _ => {
                fields.insert(field.clone(), value.clone());
            }
        }
    }
    user
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = r#"{"ignition":{"version":"3.2.0"},
        "passwd":{"users":[{"name":"core","sshAuthorizedKeys":["ssh-ed25519 B"]}]},
        "storage":{"files":[{"path":"/etc/hostname","mode":420,"overwrite":true,"contents":{"source":"data:,master-0"}}]}}"#;

    fn merged(base: &str) -> Value {
        serde_json::from_str(&merge(base.as_bytes(), HOST).expect("merges")).expect("JSON")
    }

    #[test]
    fn a_pointer_keeps_what_it_points_to_and_gets_the_hosts_files() {
        let base = r#"{"ignition":{"config":{"merge":[{"source":"https://api-int.x:22623/config/master"}]},
            "security":{"tls":{"certificateAuthorities":[{"source":"data:,CA"}]}},"version":"3.4.0"}}"#;
        let json = merged(base);
        assert_eq!(json["ignition"]["config"]["merge"][0]["source"], "https://api-int.x:22623/config/master");
        assert_eq!(json["ignition"]["security"]["tls"]["certificateAuthorities"][0]["source"], "data:,CA");
        assert_eq!(json["ignition"]["version"], "3.4.0");
        assert_eq!(json["storage"]["files"][0]["path"], "/etc/hostname");
        assert_eq!(json["passwd"]["users"][0]["sshAuthorizedKeys"][0], "ssh-ed25519 B");
    }

    #[test]
    fn the_hosts_file_wins_and_users_keep_their_keys() {
        let base = r#"{"ignition":{"version":"3.2.0"},
            "passwd":{"users":[{"name":"core","passwordHash":"$y$1","sshAuthorizedKeys":["ssh-ed25519 A"]}]},
            "storage":{"files":[{"path":"/a","contents":{"source":"data:,a"}},{"path":"/etc/hostname","contents":{"source":"data:,x"}}]},
            "systemd":{"units":[{"name":"bootkube.service","enabled":true}]}}"#;
        let json = merged(base);
        let files = json["storage"]["files"].as_array().expect("files");
        assert_eq!(files.len(), 2);
        assert_eq!(files[1]["contents"]["source"], "data:,master-0");
        let user = &json["passwd"]["users"][0];
        assert_eq!(user["passwordHash"], "$y$1");
        assert_eq!(user["sshAuthorizedKeys"].as_array().map(Vec::len), Some(2));
        assert_eq!(json["systemd"]["units"][0]["name"], "bootkube.service");
    }

    #[test]
    fn what_is_no_config_is_refused_without_showing_it() {
        for base in
            ["s3cret", r#"{"ignition":{"version":"9.9.9"},"s3cret":1}"#, r#"{"ignition":{"version":"2.2.0"}}"#, "{}"]
        {
            let error = merge(base.as_bytes(), HOST).expect_err(base);
            let shown = format!("{error} {error:?} {}", harmony_core::error::chain(&error));
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }
}
