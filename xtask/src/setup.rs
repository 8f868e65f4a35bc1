//! Installs what lab and tests need: Debian packages where we are root, the musl target, ksvalidator.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::machine::{is_root, run, target};

/// For the lab, and why.
const LAB_PACKAGES: [&str; 26] = [
    "busybox-static",
    "cpio",
    "debian-archive-keyring",
    "dnsmasq-base",
    "dosfstools",
    "dropbear-bin",
    "e2fsprogs",
    "fdisk",
    "grub-common",
    "grub-efi-amd64-bin",
    "haproxy",
    "iproute2",
    "ipmitool",
    "ipxe",
    "ipxe-qemu",
    "kmod",
    "mmdebstrap",
    "mtools",
    "openipmi",
    "openvswitch-switch",
    "ovmf",
    "qemu-system-x86",
    "syslinux",
    "syslinux-common",
    "util-linux",
    "zstd",
];

/// For the tests besides.
const TEST_PACKAGES: [&str; 9] =
    ["curl", "dmidecode", "lshw", "nmap", "openssh-client", "openssh-server", "python3-venv", "tmux", "xorriso"];

/// The musl target of the toolchain that the project names.
pub(crate) fn toolchain() -> Result<()> {
    let installed = Command::new("rustup").args(["target", "list", "--installed"]).output();
    match installed {
        Ok(output) if String::from_utf8_lossy(&output.stdout).contains("x86_64-unknown-linux-musl") => Ok(()),
        Ok(_) => run(Command::new("rustup").args(["target", "add", "x86_64-unknown-linux-musl"])),
        // Without rustup the distribution's Rust has to bring the target; the build says so if not.
        Err(_) => Ok(()),
    }
}

fn is_installed(package: &str) -> bool {
    let output = Command::new("dpkg-query").args(["-W", "-f=${Status}", package]).stderr(Stdio::null()).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).ends_with("ok installed"))
}

fn packages(wanted: &[&str]) -> Result<()> {
    let missing: Vec<&str> = wanted.iter().copied().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let command = format!("apt-get install --no-install-recommends {}", missing.join(" "));
    if !is_root() {
        bail!("packages are missing; as root: {command}");
    }
    eprintln!("installing {}", missing.join(" "));
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    run(Command::new("apt-get")
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Daemons of these packages are started by the lab, in its own namespace, and by nobody else.
        .env("RUNLEVEL", "1")
        .stdout(Stdio::null()))
}

/// What the lab needs.
pub(crate) fn lab() -> Result<()> {
    toolchain()?;
    packages(&LAB_PACKAGES)
}

/// `ksvalidator` in a folder of the project's own; its path.
pub(crate) fn ksvalidator() -> Result<PathBuf> {
    let venv = target().join("tools/pykickstart");
    let program = venv.join("bin/ksvalidator");
    if !program.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        run(Command::new(venv.join("bin/pip")).args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "pykickstart==3.62",
        ]))?;
    }
    Ok(program)
}

/// Everything.
pub(crate) fn all() -> Result<()> {
    lab()?;
    packages(&TEST_PACKAGES)?;
    ksvalidator().map(|_| ())
}
