//! What an Ignition file makes of a system at its first boot: hostname, users, NetworkManager's connections.
//!
//! Reads like the real one: a version that it does not know, or contents that cannot be had, and the system does not
//! come up; a key that it does not know is passed over. Knows nothing of how Harmony writes these files.
//! Source: Ignition `docs/configuration-v3_5.md`, `config/v3_5/types/file.go`; RFC 2397 for data URLs;
//! nm-settings-keyfile(5).

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use flate2::read::GzDecoder;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use sha2::{Digest, Sha256, Sha512};

use super::{Bond, Machine};
use crate::boot_server::hex;

/// Where NetworkManager looks for connections.
const CONNECTIONS: &str = "/etc/NetworkManager/system-connections/";
/// Largest contents of a file, in bytes.
const MAX_CONTENTS_BYTES: u64 = 16 << 20;
/// Largest mode of a file.
const MAX_MODE: u64 = 0o7777;

/// What an answer file makes of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ignition {
    pub(super) hostname: Option<String>,
    /// Users with their public keys.
    pub(super) authorized_keys: Vec<(String, String)>,
    /// NetworkManager's connections: sections, each with its keys.
    keyfiles: Vec<Keyfile>,
}

type Keyfile = BTreeMap<String, BTreeMap<String, String>>;

impl Ignition {
    /// Reads a file, or says why a system that finds it stops.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        // The generated types know which versions there are, and what every field must be.
        ignition_config::Config::parse_slice(bytes).map_err(|error| format!("the config is not valid: {error}"))?;
        // The fields that are read here are the same in all of them.
        let json: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let config = &json["ignition"]["config"];
        if config["merge"].as_array().is_some_and(|merge| !merge.is_empty()) || config["replace"]["source"].is_string()
        {
            return Err("a config that names others is not simulated".to_owned());
        }
        let (mut paths, mut files) = (BTreeSet::new(), Vec::new());
        for entry in json["storage"]["files"].as_array().into_iter().flatten() {
            let path = entry["path"].as_str().unwrap_or_default();
            if !path.starts_with('/') || !paths.insert(path) {
                return Err(format!("the config is not valid: path `{path}` is not absolute, or there twice"));
            }
            if entry["mode"].as_u64().is_some_and(|mode| mode > MAX_MODE) {
                return Err(format!("the config is not valid: illegal mode of `{path}`"));
            }
            let contents = contents(&entry["contents"]).map_err(|why| format!("failed to create `{path}`: {why}"))?;
            files.push((path, entry["mode"].as_u64(), contents));
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let hostname = files.iter().find(|(path, ..)| *path == "/etc/hostname").map(|(.., bytes)| text(bytes));
        // NetworkManager takes only what nobody else can read. Source: nm-settings-keyfile(5).
        let is_private = |mode: Option<u64>| mode.is_some_and(|mode| mode & 0o077 == 0);
        let keyfiles = files.iter().filter(|(path, mode, _)| path.starts_with(CONNECTIONS) && is_private(*mode));
        let users = json["passwd"]["users"].as_array().into_iter().flatten();
        let keys = |user: &Value| {
            let name = user["name"].as_str().unwrap_or_default().to_owned();
            let keys = user["sshAuthorizedKeys"].as_array().cloned().unwrap_or_default();
            keys.into_iter().filter_map(move |key| Some((name.clone(), key.as_str()?.to_owned())))
        };
        Ok(Self {
            hostname: hostname.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()),
            authorized_keys: users.flat_map(keys).collect(),
            keyfiles: keyfiles.map(|(.., bytes)| keyfile(&text(bytes))).collect(),
        })
    }

    /// Whether it says anything of the network.
    pub(super) fn has_keyfiles(&self) -> bool {
        !self.keyfiles.is_empty()
    }

    /// The bond that its keyfiles make, if they make one.
    pub(super) fn bond(&self, machine: &Machine) -> Option<Bond> {
        let get = |file: &Keyfile, section: &str, key: &str| file.get(section)?.get(key).cloned();
        let is_bond = |file: &&Keyfile| {
            get(file, "connection", "type").as_deref() == Some("bond")
                && matches!(get(file, "bond", "mode").as_deref(), Some("802.3ad" | "4"))
        };
        let file = self.keyfiles.iter().find(is_bond)?;
        let name = get(file, "connection", "interface-name")?;
        let uuid = get(file, "connection", "uuid");
        let is_port = |file: &&Keyfile| {
            let of = get(file, "connection", "controller").or_else(|| get(file, "connection", "master"));
            of.is_some() && (of.as_ref() == Some(&name) || of == uuid)
        };
        let nic = |file: &Keyfile| {
            let mac = ["ethernet", "802-3-ethernet"].iter().find_map(|section| get(file, section, "mac-address"));
            let mac = mac.map(|mac| mac.parse().ok());
            let interface = get(file, "connection", "interface-name");
            machine.nics.iter().position(|nic| match mac {
                Some(mac) => mac == Some(nic.mac),
                None => interface.as_ref() == Some(&nic.name),
            })
        };
        let mut members: Vec<usize> = self.keyfiles.iter().filter(is_port).filter_map(nic).collect();
        members.sort_unstable();
        let cloned = ["ethernet", "802-3-ethernet"].iter().find_map(|section| get(file, section, "cloned-mac-address"));
        let mac = cloned.and_then(|mac| mac.parse().ok()).or_else(|| Some(machine.nics[*members.first()?].mac))?;
        Some(Bond { name, mac, members })
    }
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
fn data_url(url: &str) -> Option<Vec<u8>> {
    let (header, data) = url.strip_prefix("data:")?.split_once(',')?;
    let bytes: Vec<u8> = percent_decode_str(data).collect();
    if header.ends_with(";base64") { BASE64_STANDARD.decode(bytes).ok() } else { Some(bytes) }
}

fn keyfile(text: &str) -> Keyfile {
    let mut file = Keyfile::new();
    let mut section = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            file.entry(section.clone()).or_default().insert(key.trim().to_owned(), value.trim().to_owned());
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use serde_json::json;

    use super::*;
    use crate::spec::WorldSpec;

    fn machine() -> Machine {
        Machine::new(WorldSpec::rack(1, 1).hosts.remove(0)).expect("valid")
    }

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
    fn keyfiles_make_a_bond_by_mac_or_by_name() {
        let bond = "[connection]\nid=bond0\ntype=bond\ninterface-name=bond0\n[ethernet]\ncloned-mac-address=52:54:00:00:01:01\n[bond]\nmode=802.3ad\n";
        let by_mac = "[connection]\ntype=ethernet\ncontroller=bond0\nport-type=bond\n[ethernet]\nmac-address=52:54:00:00:01:01\n";
        let by_name = "[connection]\ntype=ethernet\ninterface-name=eth1\nmaster=bond0\nslave-type=bond\n";
        let of = |mode: u32, bond: &str| {
            let file =
                |(at, text): (usize, &str)| file(&format!("{CONNECTIONS}{at}.nmconnection"), mode, &encoded(text));
            let files: Vec<Value> = [bond, by_mac, by_name].into_iter().enumerate().map(file).collect();
            ignition(&files).expect("valid")
        };
        let made = of(0o600, bond).bond(&machine()).expect("a bond");
        assert_eq!((made.name.as_str(), made.mac, made.members), ("bond0", machine().nics[0].mac, vec![0, 1]));
        assert_eq!(of(0o600, &bond.replace("802.3ad", "balance-rr")).bond(&machine()), None);
        assert!(!of(0o644, bond).has_keyfiles(), "NetworkManager passes over what others can read");
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
            assert_eq!(read.hostname.as_deref(), Some("master-0"), "{contents}");
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
        let keys = Ignition::read(text.as_bytes()).expect("valid").authorized_keys;
        assert_eq!(keys, [("core".to_owned(), "a".to_owned()), ("core".to_owned(), "b".to_owned())]);
    }
}
