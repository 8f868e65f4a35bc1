//! What an Ignition file makes of a system at its first boot: hostname, users, NetworkManager's connections, services;
//! and the other files that it names, which are fetched by `first_boot`.
//!
//! Reads like the real one: a version that it does not know, or contents that cannot be had, and the system does not
//! come up; a key that it does not know is passed over. Knows nothing of how Harmony writes these files.
//! Source: Ignition `docs/configuration-v3_5.md`, `config/v3_5/types/file.go`, `config/merge`; RFC 2397 for data URLs.

use std::collections::BTreeMap;
use std::io::Read as _;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use flate2::read::GzDecoder;
use harmony_core::cluster::NodeKind;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use sha2::{Digest, Sha256, Sha512};

use super::Machine;
use super::keyfiles::{self, Keyfile};
use super::link::Link;
use crate::boot_server::hex;
use crate::services::{Brought, Clocks};
use crate::wire::kubernetes::ClusterKeys;

/// Where NetworkManager looks for connections.
const CONNECTIONS: &str = "/etc/NetworkManager/system-connections/";
/// Largest contents of a file, in bytes.
const MAX_CONTENTS_BYTES: u64 = 16 << 20;
/// Where an installer lays manifests for the cluster on its bootstrap.
const MANIFESTS: [&str; 2] = ["/opt/openshift/manifests/", "/opt/openshift/openshift/"];
/// Where it lays the cluster's certificates and keys.
const KEYS: &str = "/opt/openshift/tls/";
/// Largest mode of a file.
const MAX_MODE: u64 = 0o7777;

/// What a file makes of the system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ignition {
    /// Where the configs are that it is merged with, in order.
    pub(super) merge: Vec<String>,
    /// Certificates that are believed when they are fetched.
    authorities: Vec<Vec<u8>>,
    /// Files, by path.
    files: BTreeMap<String, File>,
    /// Public keys, by user.
    keys: BTreeMap<String, Vec<String>>,
    /// Units of systemd, with their text. Not all that run are enabled: some are wanted by others.
    units: BTreeMap<String, String>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct File {
    mode: Option<u64>,
    contents: Vec<u8>,
}

impl Ignition {
    /// Reads a file, or says why a system that finds it stops.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        // The generated types know which versions there are, and what every field must be.
        ignition_config::Config::parse_slice(bytes).map_err(|error| format!("the config is not valid: {error}"))?;
        // The fields that are read here are the same in all of them.
        let json: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if json["ignition"]["config"]["replace"]["source"].is_string() {
            return Err("a config that another one replaces is not simulated".to_owned());
        }
        let mut read = Self { merge: sources(&json["ignition"]["config"]["merge"]), ..Self::default() };
        for source in sources(&json["ignition"]["security"]["tls"]["certificateAuthorities"]) {
            read.authorities.push(data_url(&source).ok_or("a certificate authority is no data URL that can be read")?);
        }
        for entry in json["storage"]["files"].as_array().into_iter().flatten() {
            let path = entry["path"].as_str().unwrap_or_default();
            if !path.starts_with('/') || read.files.contains_key(path) {
                return Err(format!("the config is not valid: path `{path}` is not absolute, or there twice"));
            }
            let mode = entry["mode"].as_u64();
            if mode.is_some_and(|mode| mode > MAX_MODE) {
                return Err(format!("the config is not valid: illegal mode of `{path}`"));
            }
            let contents = contents(&entry["contents"]).map_err(|why| format!("failed to create `{path}`: {why}"))?;
            read.files.insert(path.to_owned(), File { mode, contents });
        }
        for user in json["passwd"]["users"].as_array().into_iter().flatten() {
            let keys = user["sshAuthorizedKeys"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let name = user["name"].as_str().unwrap_or_default().to_owned();
            read.keys.entry(name).or_default().extend(keys.map(str::to_owned));
        }
        for unit in json["systemd"]["units"].as_array().into_iter().flatten() {
            if unit["mask"].as_bool() != Some(true) {
                let name = unit["name"].as_str().unwrap_or_default().to_owned();
                read.units.insert(name, unit["contents"].as_str().unwrap_or_default().to_owned());
            }
        }
        Ok(read)
    }

    /// The same with a config that it names: of the same file or unit, that one's counts; keys come together.
    pub(super) fn merged(mut self, child: Self) -> Self {
        self.files.extend(child.files);
        self.units.extend(child.units);
        for (user, keys) in child.keys {
            let own = self.keys.entry(user).or_default();
            let new: Vec<String> = keys.into_iter().filter(|key| !own.contains(key)).collect();
            own.extend(new);
        }
        self
    }

    /// The host name that it gives.
    pub(super) fn hostname(&self) -> Option<String> {
        let file = self.files.get("/etc/hostname")?;
        let name = String::from_utf8_lossy(&file.contents).trim().to_owned();
        (!name.is_empty()).then_some(name)
    }

    /// Users, with a public key each.
    pub(super) fn authorized_keys(&self) -> Vec<(String, String)> {
        let of = |(user, keys): (&String, &Vec<String>)| {
            keys.iter().map(|key| (user.clone(), key.clone())).collect::<Vec<_>>()
        };
        self.keys.iter().flat_map(of).collect()
    }

    /// The link that its keyfiles make. None if it has none; then the kernel's arguments count.
    pub(super) fn link(&self, machine: &Machine) -> Option<Option<Link>> {
        let files: Vec<Keyfile> = self.keyfiles().map(|text| Keyfile::read(&text)).collect();
        (!files.is_empty()).then(|| keyfiles::link(&files.iter().collect::<Vec<_>>(), machine))
    }

    /// NetworkManager takes only what nobody else can read. Source: nm-settings-keyfile(5).
    fn keyfiles(&self) -> impl Iterator<Item = String> {
        let is_private = |file: &File| file.mode.is_some_and(|mode| mode & 0o077 == 0);
        let files = self.files.iter().filter(move |(path, file)| path.starts_with(CONNECTIONS) && is_private(file));
        files.map(|(_, file)| String::from_utf8_lossy(&file.contents).into_owned())
    }

    /// Certificates that it believes: its own, and the root of the cluster that it brings with it.
    pub(super) fn authorities(&self) -> Vec<Vec<u8>> {
        let root = self.files.get("/opt/openshift/tls/root-ca.crt").map(|file| file.contents.clone());
        self.authorities.iter().cloned().chain(root).collect()
    }

    /// What it brings of a cluster, which is to have these clocks.
    pub(super) fn brought(&self, clocks: Clocks) -> Brought {
        let texts = |folder: &'static str| {
            let files = self.files.iter().filter_map(move |(path, file)| Some((path.strip_prefix(folder)?, file)));
            files.map(|(name, file)| (name.to_owned(), String::from_utf8_lossy(&file.contents).into_owned()))
        };
        Brought {
            authorities: self.authorities(),
            manifests: MANIFESTS.into_iter().flat_map(texts).collect(),
            keys: ClusterKeys::of(&texts(KEYS).collect()),
            clocks,
        }
    }

    /// What it makes of the machine in a cluster, if it makes it part of one.
    ///
    /// Source: installer `data/data/bootstrap/systemd`; machine-config-operator `templates/{master,worker}/01-*-kubelet`.
    pub(super) fn node(&self) -> Option<NodeKind> {
        if self.units.contains_key("bootkube.service") && self.files.contains_key("/usr/local/bin/bootkube.sh") {
            return Some(NodeKind::Bootstrap);
        }
        let kubelet = self.units.get("kubelet.service")?;
        let is_master = kubelet.contains("node-role.kubernetes.io/master");
        Some(if is_master { NodeKind::Master } else { NodeKind::Worker })
    }

    /// Whether the system restarts once when it has put the cluster's own image in its place.
    /// Source: machine-config-operator `templates/common/_base/units/machine-config-daemon-firstboot.service.yaml`.
    pub(super) fn pivots(&self) -> bool {
        self.units.contains_key("machine-config-daemon-firstboot.service")
    }
}

/// What the entries of a list name as their sources.
fn sources(list: &Value) -> Vec<String> {
    let entries = list.as_array().into_iter().flatten();
    entries.filter_map(|entry| entry["source"].as_str()).map(str::to_owned).collect()
}

/// The contents of a file: decoded, unpacked and compared with their digest.
fn contents(resource: &Value) -> Result<Vec<u8>, String> {
    let Some(source) = resource["source"].as_str() else { return Ok(Vec::new()) };
    let stored = data_url(source).ok_or("its source is no data URL that can be read")?;
    let bytes = match resource["compression"].as_str() {
        None | Some("") => stored,
        Some("gzip") => {
            let mut bytes = Vec::new();
            let read = GzDecoder::new(&*stored).take(MAX_CONTENTS_BYTES).read_to_end(&mut bytes);
            read.map_err(|error| format!("it cannot be unpacked: {error}"))?;
            bytes
        }
        Some(other) => return Err(format!("unsupported compression `{other}`")),
    };
    let Some(wanted) = resource["verification"]["hash"].as_str() else { return Ok(bytes) };
    let is_right = match wanted.split_once('-') {
        Some(("sha512", digest)) => digest == hex(&Sha512::digest(&bytes)),
        Some(("sha256", digest)) => digest == hex(&Sha256::digest(&bytes)),
        _ => return Err(format!("unrecognised hash `{wanted}`")),
    };
    if is_right { Ok(bytes) } else { Err("hash verification failed".to_owned()) }
}

/// The contents of a `data:` URL. Source: RFC 2397 section 2.
pub(super) fn data_url(url: &str) -> Option<Vec<u8>> {
    let (header, data) = url.strip_prefix("data:")?.split_once(',')?;
    let bytes: Vec<u8> = percent_decode_str(data).collect();
    if header.ends_with(";base64") { BASE64_STANDARD.decode(bytes).ok() } else { Some(bytes) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use serde_json::json;

    use super::*;

    fn encoded(text: &str) -> String {
        let encoded = percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC);
        format!("data:,{encoded}")
    }

    fn ignition(files: &[Value]) -> Result<Ignition, String> {
        let text = json!({"ignition": {"version": "3.2.0"}, "storage": {"files": files}}).to_string();
        Ignition::read(text.as_bytes())
    }

    fn file(path: &str, mode: u32, source: &str) -> Value {
        json!({"path": path, "mode": mode, "contents": {"source": source}})
    }

    #[test]
    fn keyfiles_that_others_can_read_are_passed_over() {
        let path = format!("{CONNECTIONS}eth0.nmconnection");
        let of = |mode| ignition(&[file(&path, mode, &encoded("[connection]\ntype=ethernet\n"))]).expect("valid");
        assert_eq!((of(0o600).keyfiles().count(), of(0o644).keyfiles().count()), (1, 0));
    }

    #[test]
    fn what_a_config_names_counts_and_keys_come_together() {
        let unit = |text: &str| json!([{"name": "kubelet.service", "enabled": true, "contents": text}]);
        let read = |json: Value| Ignition::read(json.to_string().as_bytes()).expect("valid");
        let user = |keys: &[&str]| json!({"users": [{"name": "core", "sshAuthorizedKeys": keys}]});
        let parent = read(json!({
            "ignition": {"version": "3.2.0", "config": {"merge": [{"source": "https://api-int.c.d:22623/config/master"}]}},
            "storage": {"files": [file("/etc/hostname", 0o644, "data:,m-0"), file("/etc/x", 0o644, "data:,parent")]},
            "passwd": user(&["a", "b"]),
        }));
        assert_eq!(
            (parent.node(), parent.merge.as_slice()),
            (None, &["https://api-int.c.d:22623/config/master".to_owned()][..])
        );
        let child = read(json!({
            "ignition": {"version": "3.5.0"},
            "storage": {"files": [file("/etc/x", 0o644, "data:,child")]},
            "passwd": user(&["b", "c"]),
            "systemd": {"units": unit("--node-labels=node-role.kubernetes.io/master")},
        }));
        let merged = parent.merged(child);
        assert_eq!((merged.hostname().as_deref(), merged.node()), (Some("m-0"), Some(NodeKind::Master)));
        assert_eq!(merged.files["/etc/x"].contents, b"child");
        assert_eq!(merged.keys["core"], ["a", "b", "c"]);
    }

    #[test]
    fn contents_come_encoded_and_packed() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(b"master-0\n").expect("writes");
        let packed = BASE64_STANDARD.encode(packed.finish().expect("packs"));
        let plain = BASE64_STANDARD.encode("master-0\n");
        let digest = hex(&Sha512::digest("master-0\n"));
        let contents = [
            json!({"source": "data:,master-0%0A"}),
            json!({"source": format!("data:text/plain;charset=utf-8;base64,{plain}")}),
            json!({"source": format!("data:;base64,{packed}"), "compression": "gzip",
                "verification": {"hash": format!("sha512-{digest}")}}),
        ];
        for contents in contents {
            let read = ignition(&[json!({"path": "/etc/hostname", "contents": contents})]).expect("valid");
            assert_eq!(read.hostname().as_deref(), Some("master-0"), "{contents}");
        }
        let refused = [
            json!({"source": "data:;base64,%%%"}),
            json!({"source": "http://10.0.0.1/hostname"}),
            json!({"source": "data:,x", "compression": "gzip"}),
            json!({"source": "data:,x", "verification": {"hash": format!("sha512-{digest}")}}),
        ];
        for contents in refused {
            let refusal = ignition(&[json!({"path": "/etc/hostname", "contents": contents})]).expect_err("refused");
            assert!(refusal.starts_with("failed to create `/etc/hostname`: "), "{refusal}");
        }
    }

    #[test]
    fn what_is_no_ignition_is_refused() {
        for text in
            ["#version=RHEL9", "{}", r#"{"ignition":{"version":"2.2.0"}}"#, r#"{"ignition":{"version":"3.9.0"}}"#]
        {
            assert!(Ignition::read(text.as_bytes()).is_err(), "{text}");
        }
        let twice = [file("/etc/a", 0o644, "data:,"), file("/etc/a", 0o644, "data:,")];
        assert!(ignition(&twice).is_err());
        assert!(ignition(&[file("etc/a", 0o644, "data:,")]).is_err());
        assert!(ignition(&[file("/etc/a", 0o17777, "data:,")]).is_err());
    }

    #[test]
    fn users_have_their_keys() {
        let text =
            r#"{"ignition":{"version":"3.2.0"},"passwd":{"users":[{"name":"core","sshAuthorizedKeys":["a","b"]}]}}"#;
        let keys = Ignition::read(text.as_bytes()).expect("valid").authorized_keys();
        assert_eq!(keys, [("core".to_owned(), "a".to_owned()), ("core".to_owned(), "b".to_owned())]);
    }
}
