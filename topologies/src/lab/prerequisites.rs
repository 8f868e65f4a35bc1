//! What this machine must have for a virtual rack, and whether it can virtualise.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use super::LabError;

/// A program or file that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// A program's name, or a file's path.
    pub what: &'static str,
    /// The Debian package that has it.
    pub package: &'static str,
}

/// Firmware of UEFI machines.
pub(super) const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
/// What a UEFI machine's variables are at first.
pub(super) const OVMF_VARS: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";
/// iPXE, for firmware that has its own PXE only.
pub(super) const IPXE: [&str; 2] = ["/usr/lib/ipxe/ipxe.efi", "/usr/lib/ipxe/undionly.kpxe"];

/// To run a rack.
const RUNNING: [(&str, &str); 16] = [
    ("/usr/lib/ipxe/ipxe.efi", "ipxe"),
    ("/usr/lib/ipxe/qemu/efi-virtio.rom", "ipxe-qemu"),
    ("/usr/lib/ipxe/undionly.kpxe", "ipxe"),
    ("/usr/share/openvswitch/vswitch.ovsschema", "openvswitch-common"),
    (OVMF_CODE, "ovmf"),
    (OVMF_VARS, "ovmf"),
    ("dnsmasq", "dnsmasq-base"),
    ("ip", "iproute2"),
    ("ipmi_sim", "openipmi"),
    ("ipmitool", "ipmitool"),
    ("nsenter", "util-linux"),
    ("ovs-vsctl", "openvswitch-switch"),
    ("ovs-vswitchd", "openvswitch-switch"),
    ("ovsdb-server", "openvswitch-switch"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("setsid", "util-linux"),
];

/// To make a cluster besides.
const CLUSTER: [(&str, &str); 2] = [("busybox", "busybox-static"), ("haproxy", "haproxy")];

/// To build images, which happens once.
const BUILDING: [(&str, &str); 19] = [
    ("/usr/lib/grub/x86_64-efi/modinfo.sh", "grub-efi-amd64-bin"),
    ("/usr/lib/syslinux/mbr/mbr.bin", "syslinux-common"),
    ("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring"),
    ("apt-get", "apt"),
    ("busybox", "busybox-static"),
    ("cpio", "cpio"),
    ("depmod", "kmod"),
    ("dropbear", "dropbear-bin"),
    ("dpkg-deb", "dpkg"),
    ("grub-mkstandalone", "grub-common"),
    ("mcopy", "mtools"),
    ("mke2fs", "e2fsprogs"),
    ("mkfs.vfat", "dosfstools"),
    ("mmdebstrap", "mmdebstrap"),
    ("modprobe", "kmod"),
    ("sfdisk", "fdisk"),
    ("syslinux", "syslinux"),
    ("unshare", "util-linux"),
    ("zstd", "zstd"),
];

/// Whether a rack can run here.
///
/// # Errors
/// [`LabError::NotRoot`], or everything that is missing at once.
pub(super) fn for_running() -> Result<(), LabError> {
    if !nix::unistd::geteuid().is_root() {
        return Err(LabError::NotRoot);
    }
    check(&RUNNING, &search_path())
}

/// Whether a cluster can be made in a rack here.
pub(super) fn for_a_cluster() -> Result<(), LabError> {
    check(&CLUSTER, &search_path())
}

/// Whether images can be built here.
pub(super) fn for_building() -> Result<(), LabError> {
    check(&BUILDING, &search_path())
}

/// `PATH`, with the folders that root's has and others' may not.
fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).collect()
}

fn check(wanted: &'static [(&'static str, &'static str)], path: &[PathBuf]) -> Result<(), LabError> {
    let there = |what: &str| path.iter().any(|folder| folder.join(what).exists());
    let missing = wanted.iter().filter(|(what, _)| !there(what)).map(|&(what, package)| Missing { what, package });
    let missing: Vec<_> = missing.collect();
    if missing.is_empty() { Ok(()) } else { Err(LabError::Missing(missing)) }
}

/// What runs the machines' instructions: `kvm` where this machine can virtualise, else `tcg`.
///
/// `/dev/kvm` alone says little: there are clouds where a virtual machine can be made and yet runs
/// no ordinary kernel (nested PVM). So the processor must have the extension, and QEMU must succeed.
pub(super) fn accelerator() -> &'static str {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    if virtualises(&cpuinfo) && qemu_has_kvm().is_ok_and(|status| status.success()) { "kvm" } else { "tcg" }
}

/// Whether `/proc/cpuinfo` names Intel's or AMD's extension.
fn virtualises(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().filter(|line| line.starts_with("flags"));
    flags.flat_map(str::split_whitespace).any(|flag| matches!(flag, "vmx" | "svm"))
}

/// Has QEMU make an empty machine with KVM, and leave it.
fn qemu_has_kvm() -> std::io::Result<ExitStatus> {
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-machine", "none", "-accel", "kvm", "-nodefaults", "-display", "none", "-monitor", "stdio"]);
    let mut child = qemu.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    if let Some(mut monitor) = child.stdin.take() {
        // If QEMU has ended already, its status says more than this write.
        let _ = monitor.write_all(b"quit\n");
    }
    child.wait()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_missing_is_said_at_once_with_its_packages() {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("ip"), "").expect("written");
        let wanted = &[("ip", "iproute2"), ("cpio", "cpio"), ("/no/such/file", "ovmf"), ("mcopy", "cpio")];
        let error = check(wanted, &[folder.path().to_owned()]).expect_err("missing");
        assert_eq!(
            error.to_string(),
            "not installed: cpio (package cpio), /no/such/file (package ovmf), mcopy (package cpio)"
        );
        assert_eq!(error.hint().as_deref(), Some("apt-get install --no-install-recommends cpio ovmf"));
    }

    #[test]
    fn a_processor_virtualises_if_its_flags_say_so() {
        assert!(virtualises("model name : x\nflags\t\t: fpu vmx sse\n"));
        assert!(virtualises("flags\t\t: svm\n"));
        assert!(!virtualises("model name : svm\nflags\t\t: fpu sse\nvmx flags\t: vnmi\n"));
    }
}
