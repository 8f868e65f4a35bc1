//! A machine's `/proc`, `/sys` and `/dev` as files, so that the real agent can read them.
//!
//! Made from the report that the machine would give (`crate::machine::report`), so this is the inverse of the
//! agent's collection and holds no fact of its own. What the kernel tells otherwise than by files is left out:
//! addresses by rtnetlink; what was heard by LLDP is in [`heard`].
//! Source: Linux `Documentation/ABI/{stable,testing}/sysfs-*`, proc(5).

mod disks;
mod heard;
mod nics;
mod smbios;

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use harmony_core::report::v1::{Boot, Cpu, Report};
use harmony_inventory_agent::Root;
use tempfile::TempDir;

pub(super) use heard::heard;

/// The variable `SecureBoot` of `EFI_GLOBAL_VARIABLE`. Source: UEFI 2.10 clause 3.3.
const SECURE_BOOT: &str = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Attributes of a variable that is kept, and seen after boot: `NV+BS+RT`.
const VARIABLE: [u8; 4] = [6, 0, 0, 0];

/// The files of one machine. They are gone when this is dropped.
pub(super) struct Tree {
    folder: TempDir,
}

impl Tree {
    /// Writes them. `cmdline` is what the kernel was started with.
    pub(super) fn lay_out(report: &Report, cmdline: &str) -> io::Result<Self> {
        let tree = Self { folder: tempfile::Builder::new().prefix("harmony-sim-").tempdir()? };
        tree.text("proc/cmdline", cmdline)?;
        tree.boot(&report.boot)?;
        tree.cpu(&report.cpu)?;
        if let Some(bytes) = report.memory.total_bytes {
            tree.text("proc/meminfo", &format!("MemTotal:       {} kB", bytes >> 10))?;
        }
        smbios::lay_out(&tree, report)?;
        disks::lay_out(&tree, &report.disks)?;
        nics::lay_out(&tree, &report.nics)?;
        nics::lay_out_pci(&tree, &report.pci)?;
        Ok(tree)
    }

    /// What the agent reads.
    pub(super) fn root(&self) -> Root {
        Root::recorded(self.folder.path())
    }

    /// The one file that changes while the agent runs.
    pub(super) fn set_uptime(&self, seconds: u64) -> io::Result<()> {
        self.text("proc/uptime", &format!("{seconds}.00 0.00"))
    }

    fn boot(&self, boot: &Boot) -> io::Result<()> {
        self.maybe("proc/sys/kernel/random/boot_id", boot.boot_id.as_ref())?;
        self.maybe("proc/sys/kernel/osrelease", boot.kernel.as_ref())?;
        self.set_uptime(boot.uptime_s.unwrap_or_default())?;
        if boot.firmware.as_deref() == Some("uefi") {
            self.folder("sys/firmware/efi/efivars")?;
        }
        match boot.secure_boot {
            Some(on) => self.bytes(SECURE_BOOT, &[&VARIABLE[..], &[u8::from(on)]].concat()),
            None => Ok(()),
        }
    }

    fn cpu(&self, cpu: &Cpu) -> io::Result<()> {
        let mut text = "processor\t: 0\n".to_owned();
        let fields = [("vendor_id", cpu.vendor.clone()), ("model name", cpu.model.clone())];
        for (name, value) in fields.into_iter().chain([("flags", Some(cpu.flags.join(" ")))]) {
            if let Some(value) = value {
                text.push_str(&format!("{name}\t: {value}\n"));
            }
        }
        self.text("proc/cpuinfo", &text)?;
        self.maybe("proc/sys/kernel/arch", cpu.architecture.as_ref())?;
        let (Some(sockets), Some(cores), Some(threads)) = (cpu.sockets, cpu.cores, cpu.threads) else { return Ok(()) };
        let (sockets, cores) = (sockets.max(1), cores.max(1));
        let cpus = "sys/devices/system/cpu";
        self.text(&format!("{cpus}/online"), &format!("0-{}", threads.max(1) - 1))?;
        for thread in 0..threads {
            // As Linux counts on x86: first one thread of every core, then the second ones.
            let core = thread % cores;
            let siblings: Vec<String> = (core..threads).step_by(cores as usize).map(|t| t.to_string()).collect();
            let topology = format!("{cpus}/cpu{thread}/topology");
            self.text(&format!("{topology}/physical_package_id"), &(core * sockets / cores).to_string())?;
            self.text(&format!("{topology}/thread_siblings_list"), &siblings.join(","))?;
        }
        Ok(())
    }

    /// `path` is relative; folders on the way are made. So it is in all below.
    fn place(&self, path: &str) -> io::Result<PathBuf> {
        let path = self.folder.path().join(path);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        Ok(path)
    }

    fn folder(&self, path: &str) -> io::Result<()> {
        fs::create_dir_all(self.folder.path().join(path))
    }

    fn bytes(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        fs::write(self.place(path)?, bytes)
    }

    /// A file of one line or more.
    fn text(&self, path: &str, text: &str) -> io::Result<()> {
        self.bytes(path, format!("{}\n", text.trim_end()).as_bytes())
    }

    /// A file, where the machine has that fact.
    fn maybe(&self, path: &str, text: Option<impl ToString>) -> io::Result<()> {
        text.map_or(Ok(()), |text| self.text(path, &text.to_string()))
    }

    fn link(&self, path: &str, target: &str) -> io::Result<()> {
        symlink(target, self.place(path)?)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use harmony_core::report::v1;
    use harmony_inventory_agent::collect;

    use super::*;

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn disk(name: &str, bus: &str, signatures: &[&str]) -> v1::Disk {
        let size = 8 << 30;
        let marks = harmony_inventory_agent::signature::marks(signatures, size).into_iter();
        v1::Disk {
            name: name.to_owned(),
            by_id: vec![format!("/dev/disk/by-id/{bus}-{name}")],
            by_path: vec![format!("/dev/disk/by-path/pci-0001:00:00.0-{bus}-{name}")],
            model: text("A Disk"),
            serial: Some(format!("S-{name}")),
            wwn: (bus != "virtio").then(|| "eui.0025385b21404321".to_owned()),
            size_bytes: Some(size),
            logical_block_size_bytes: Some(4096),
            rotational: Some(bus == "sata"),
            bus: text(bus),
            signatures: marks.map(|marks| marks.signature).collect(),
            partitions: Vec::new(),
        }
    }

    fn nic(name: &str, last: u8, driver: &str) -> v1::Nic {
        let mac = text(&format!("52:54:00:00:00:{last:02x}"));
        v1::Nic {
            name: name.to_owned(),
            permanent_mac: mac.clone(),
            mac,
            speed_mbps: Some(25_000),
            duplex: text("full"),
            carrier: Some(true),
            driver: text(driver),
            pci_address: Some(format!("0000:3b:00.{last}")),
            booted: Some(last == 1),
            lldp: vec![v1::LldpNeighbour {
                chassis_id: "02:5a:00:00:00:01".to_owned(),
                chassis_id_kind: "mac".to_owned(),
                port_id: "Gi1/0/1".to_owned(),
                port_id_kind: "interface-name".to_owned(),
                port_description: text("node-1"),
                system_name: text("tor"),
                vlan_id: Some(10),
                ttl_s: 120,
                age_s: 17,
            }],
            lldp_listened_s: Some(99),
            ..v1::Nic::default()
        }
    }

    fn pci(address: &str) -> v1::PciDevice {
        v1::PciDevice {
            address: address.to_owned(),
            vendor_id: text("10de"),
            device_id: text("0020"),
            subsystem_vendor_id: text("10de"),
            subsystem_device_id: text("1234"),
            class: text("030200"),
            gpu: true,
            driver: None,
        }
    }

    fn dimm(slot: &str, gib: u64, kind: &str) -> v1::Dimm {
        v1::Dimm {
            slot: text(slot),
            size_bytes: Some(gib << 30),
            kind: text(kind),
            speed_mts: Some(4800),
            configured_speed_mts: Some(4400),
            vendor: text("LabCorp"),
            part: text("M-64"),
            serial: text("0002"),
        }
    }

    /// A machine with two of everything, none of it like the other.
    fn report() -> v1::Report {
        v1::Report {
            schema: v1::SCHEMA.to_owned(),
            boot: v1::Boot {
                boot_id: text("84e34499-95c4-42cb-888c-d0aa227b545f"),
                uptime_s: Some(77),
                kernel: text("5.14.0-sim"),
                firmware: text("uefi"),
                secure_boot: Some(true),
            },
            system: v1::System {
                vendor: text("Dell Inc."),
                product: text("PowerEdge R650"),
                serial: text("SN-1"),
                uuid: text("00112233-4455-6677-8899-aabbccddeeff"),
                bios: v1::Bios { vendor: text("LabCorp"), version: text("1.0"), date: text("01/01/2026") },
                board: v1::Board { vendor: text("LabCorp"), product: text("SimBoard"), serial: text("B-1") },
                bmc: v1::Bmc { interface: text("ssif"), address: Some([169, 254, 1, 1].into()) },
            },
            cpu: v1::Cpu {
                architecture: text("x86_64"),
                vendor: text("GenuineIntel"),
                model: text("Simulated CPU @ 2.00GHz"),
                sockets: Some(2),
                cores: Some(8),
                threads: Some(16),
                flags: vec!["fpu".to_owned(), "vmx".to_owned()],
            },
            memory: v1::Memory {
                total_bytes: Some(63 << 30),
                dimms: vec![dimm("A1", 16, "DDR4"), dimm("A2", 64, "DDR5")],
                empty_slots: vec!["B1".to_owned()],
            },
            disks: vec![
                disk("sda", "sata", &["ext4"]),
                disk("sdb", "sas", &["xfs", "LVM2_member"]),
                disk("sdc", "usb", &["dos"]),
                disk("vda", "virtio", &[]),
                disk("nvme0n1", "nvme", &["linux_raid_member", "gpt"]),
            ],
            nics: vec![nic("eno1", 0, "i40e"), nic("ens1f0", 1, "virtio_net")],
            pci: vec![pci("0000:3b:00.0"), pci("0000:3b:00.1"), pci("0000:86:00.0")],
            ..v1::Report::default()
        }
    }

    fn collected(report: &v1::Report) -> v1::Report {
        let mac = report.nics.iter().find(|nic| nic.booted == Some(true)).and_then(|nic| nic.mac.as_deref());
        let cmdline = format!("quiet BOOTIF=01-{}", mac.unwrap_or_default().replace(':', "-"));
        let tree = Tree::lay_out(report, &cmdline).expect("writes");
        collect(&tree.root(), &heard(report, Instant::now()))
    }

    #[test]
    fn the_agent_reads_what_was_laid_out() {
        let wanted = report();
        let mut found = collected(&wanted);
        (found.agent, found.unread) = (v1::Agent::default(), Vec::new());
        assert_eq!(serde_json::to_value(found).expect("JSON"), serde_json::to_value(wanted).expect("JSON"));
    }

    #[test]
    fn what_a_machine_does_not_tell_is_absent_with_a_reason() {
        let mut wanted = report();
        wanted.boot.firmware = text("bios");
        wanted.boot.secure_boot = None;
        wanted.system.bmc.address = None;
        wanted.disks.iter_mut().for_each(|disk| (disk.serial, disk.wwn, disk.by_id) = (None, None, Vec::new()));
        wanted.nics.iter_mut().for_each(|nic| (nic.speed_mbps, nic.duplex, nic.carrier) = (None, None, Some(false)));
        let mut found = collected(&wanted);
        for fact in ["/system/bmc/address", "/disks/4/serial", "/disks/0/by_id", "/nics/1/speed_mbps"] {
            assert!(found.why_absent(fact).is_some(), "{fact}");
        }
        (found.agent, found.unread) = (v1::Agent::default(), Vec::new());
        assert_eq!(serde_json::to_value(found).expect("JSON"), serde_json::to_value(wanted).expect("JSON"));
    }

    #[test]
    fn nothing_is_left_behind() {
        let tree = Tree::lay_out(&report(), "").expect("writes");
        let folder = tree.folder.path().to_owned();
        assert!(folder.join("proc/cmdline").exists());
        drop(tree);
        assert!(!folder.exists());
    }
}
