//! How an installer understands what it is served: the kernel's arguments in an iPXE script, and an
//! Ignition file with NetworkManager's keyfiles.
//!
//! Reads like the real ones do: an argument that is not known is passed over, a keyfile that is no
//! bond makes none. Knows nothing of how Harmony writes these texts.
//! Source: coreos-installer `docs/getting-started.md`; dracut.cmdline(7) `bond=`, `ip=`;
//! nm-settings-keyfile(5); Ignition `docs/configuration-v3_2.md`.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{Bond, Machine};

/// Where NetworkManager looks for connections.
const CONNECTIONS: &str = "/etc/NetworkManager/system-connections/";

/// The arguments of an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InstallArgs {
    pub(crate) answer_url: String,
    /// Path of the disk.
    device: String,
    /// Serial that the disk must have, if one is named.
    serial: Option<String>,
    /// `bond=` and `ip=`.
    bond: Option<String>,
    ip: Option<String>,
}

impl InstallArgs {
    /// Finds the `kernel` line of a script and reads its arguments.
    pub(crate) fn read(script: &str) -> Result<Self, String> {
        let line = script.lines().find_map(|line| line.trim().strip_prefix("kernel "));
        let line = line.ok_or("the script starts no kernel")?;
        let command = line.split("||").next().unwrap_or(line);
        let args = command.split_whitespace().filter_map(|arg| arg.split_once('='));
        let args: BTreeMap<&str, &str> = args.collect();
        let text = |key: &str| args.get(key).map(|value| (*value).to_owned());
        let needed = |key: &str| text(key).ok_or_else(|| format!("no {key} on the kernel command line"));
        let decode = |value: String| percent_decode_str(&value).decode_utf8_lossy().into_owned();
        Ok(Self {
            answer_url: needed("coreos.inst.ignition_url")?,
            device: needed("coreos.inst.install_dev")?,
            serial: text("harmony.disk_serial").map(decode),
            bond: text("bond"),
            ip: text("ip"),
        })
    }

    /// The disk that they name.
    pub(crate) fn find_disk(&self, machine: &Machine) -> Result<usize, String> {
        let is_it = |disk: &super::Disk| {
            disk.spec.by_id().contains(&self.device) || format!("/dev/{}", disk.spec.name) == self.device
        };
        let at = machine.disks.iter().position(is_it).ok_or_else(|| format!("no disk {}", self.device))?;
        match (&self.serial, &machine.disks[at].spec.serial) {
            (Some(wanted), found) if Some(wanted) != found.as_ref() => {
                Err(format!("{} has serial {}, not {wanted}", self.device, found.as_deref().unwrap_or("none")))
            }
            _ => Ok(at),
        }
    }

    /// The bond that `bond=` makes on the first boot, and that then stays.
    pub(crate) fn bond(&self, machine: &Machine) -> Option<Bond> {
        let mut parts = self.bond.as_deref()?.split(':');
        let (name, ports, options) = (parts.next()?, parts.next()?, parts.next()?);
        if !options.split(',').any(|option| matches!(option, "mode=802.3ad" | "mode=4")) {
            return None;
        }
        let members = ports.split(',').map(|port| machine.nics.iter().position(|nic| nic.name == port));
        let members: Vec<usize> = members.collect::<Option<_>>()?;
        let pinned = self.ip.as_deref().and_then(|ip| ip.strip_prefix(name)?.strip_prefix(":dhcp::")?.parse().ok());
        let mac = pinned.or_else(|| Some(machine.nics[*members.first()?].mac))?;
        Some(Bond { name: name.to_owned(), mac, members })
    }
}

/// What an answer file makes of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) hostname: Option<String>,
    pub(crate) allows_login: bool,
    /// NetworkManager's connections: sections, each with its keys.
    keyfiles: Vec<Keyfile>,
}

type Keyfile = BTreeMap<String, BTreeMap<String, String>>;

impl Answer {
    /// Reads an Ignition file. Contents that have to be fetched are not.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let json: Value = serde_json::from_str(text).map_err(|error| format!("the answer file is no JSON: {error}"))?;
        let version = json["ignition"]["version"].as_str().ok_or("the answer file is no Ignition file")?;
        if !version.starts_with("3.") {
            return Err(format!("the answer file has Ignition version {version}"));
        }
        let files = json["storage"]["files"].as_array().into_iter().flatten();
        let files: Vec<(&str, String)> = files
            .filter_map(|file| Some((file["path"].as_str()?, data_url(file["contents"]["source"].as_str()?)?)))
            .collect();
        let hostname = files.iter().find(|(path, _)| *path == "/etc/hostname").map(|(_, text)| text.trim().to_owned());
        let keyfiles = files.iter().filter(|(path, _)| path.starts_with(CONNECTIONS));
        let users = json["passwd"]["users"].as_array().into_iter().flatten();
        let has_key = |user: &Value| user["sshAuthorizedKeys"].as_array().is_some_and(|keys| !keys.is_empty());
        Ok(Self {
            hostname: hostname.filter(|name| !name.is_empty()),
            allows_login: users.into_iter().any(has_key),
            keyfiles: keyfiles.map(|(_, text)| keyfile(text)).collect(),
        })
    }

    /// The bond that its keyfiles make, if they make one.
    pub(crate) fn bond(&self, machine: &Machine) -> Option<Bond> {
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

/// The contents of a `data:` URL without base64. Source: RFC 2397 section 2.
fn data_url(url: &str) -> Option<String> {
    let (header, data) = url.strip_prefix("data:")?.split_once(',')?;
    if header.ends_with(";base64") {
        return None;
    }
    percent_decode_str(data).decode_utf8().ok().map(|text| text.into_owned())
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
    use super::*;
    use crate::spec::{DiskSpec, WorldSpec};

    fn machine() -> Machine {
        let mut spec = WorldSpec::rack(1, 1).hosts.remove(0);
        spec.disks.push(DiskSpec::blank("vdb", "OTHER"));
        Machine::new(spec).expect("valid")
    }

    const SCRIPT: &str = "#!ipxe\nkernel --timeout 30000 http://10.10.0.1:8080/k initrd=main \
        coreos.inst.install_dev=/dev/disk/by-id/virtio-OTHER coreos.inst.ignition_url=http://10.10.0.1:8080/answer/hc-0000000/1/t \
        harmony.disk_serial=OTHER bond=bond0:eth0,eth1:mode=802.3ad,miimon=100 ip=bond0:dhcp::52:54:00:00:01:02 || goto again\nboot\n";

    #[test]
    fn a_script_names_disk_answer_and_bond() {
        let args = InstallArgs::read(SCRIPT).expect("complete");
        assert_eq!(args.answer_url, "http://10.10.0.1:8080/answer/hc-0000000/1/t");
        assert_eq!(args.find_disk(&machine()), Ok(1));
        let bond = args.bond(&machine()).expect("named");
        assert_eq!((bond.mac, bond.members), (machine().nics[1].mac, vec![0, 1]));
    }

    #[test]
    fn a_script_that_lacks_something_installs_nothing() {
        let without = |what: &str| InstallArgs::read(&SCRIPT.replace(what, "x"));
        assert!(without("coreos.inst.install_dev").is_err());
        assert!(without("coreos.inst.ignition_url").is_err());
        assert!(without("kernel ").is_err());
        let other = InstallArgs::read(&SCRIPT.replace("serial=OTHER", "serial=THIRD")).expect("complete");
        let refusal = other.find_disk(&machine()).expect_err("another serial");
        assert_eq!(refusal, "/dev/disk/by-id/virtio-OTHER has serial OTHER, not THIRD");
    }

    #[test]
    fn a_bond_of_nics_that_are_not_there_is_none() {
        let args = InstallArgs::read(&SCRIPT.replace("eth0,eth1", "eno1,eno2")).expect("complete");
        assert_eq!(args.bond(&machine()), None);
        let other = InstallArgs::read(&SCRIPT.replace("802.3ad", "active-backup")).expect("complete");
        assert_eq!(other.bond(&machine()), None);
    }

    fn ignition(files: &[(&str, &str)]) -> String {
        let encode =
            |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let files: Vec<Value> = files
            .iter()
            .map(|(path, text)| serde_json::json!({"path": path, "contents": {"source": format!("data:,{}", encode(text))}}))
            .collect();
        serde_json::json!({"ignition": {"version": "3.2.0"}, "storage": {"files": files}}).to_string()
    }

    #[test]
    fn keyfiles_make_a_bond_by_mac_or_by_name() {
        let bond = "[connection]\nid=bond0\ntype=bond\ninterface-name=bond0\n[ethernet]\ncloned-mac-address=52:54:00:00:01:01\n[bond]\nmode=802.3ad\n";
        let by_mac = "[connection]\ntype=ethernet\ncontroller=bond0\nport-type=bond\n[ethernet]\nmac-address=52:54:00:00:01:01\n";
        let by_name = "[connection]\ntype=ethernet\ninterface-name=eth1\nmaster=bond0\nslave-type=bond\n";
        let dir = CONNECTIONS;
        let paths = ["bond0", "a", "b"].map(|name| format!("{dir}{name}.nmconnection"));
        let text =
            ignition(&[(&paths[0], bond), (&paths[1], by_mac), (&paths[2], by_name), ("/etc/hostname", "master-0\n")]);
        let answer = Answer::read(&text).expect("valid");
        let made = answer.bond(&machine()).expect("a bond");
        assert_eq!((made.name.as_str(), made.mac, made.members), ("bond0", machine().nics[0].mac, vec![0, 1]));
        assert_eq!(answer.hostname.as_deref(), Some("master-0"));
        assert!(!answer.allows_login, "no key in it");
        let round_robin = Answer::read(&text.replace("802%2E3ad", "balance%2Drr")).expect("valid");
        assert_eq!(round_robin.bond(&machine()), None);
    }

    #[test]
    fn what_is_no_ignition_is_refused() {
        assert!(Answer::read("#version=RHEL9").is_err());
        assert!(Answer::read("{}").is_err());
        assert!(Answer::read(r#"{"ignition":{"version":"2.2.0"}}"#).is_err());
    }
}
