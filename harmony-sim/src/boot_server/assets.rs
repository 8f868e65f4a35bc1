//! What machines load: stand-ins of a few bytes for iPXE, kernels, initramfs and images.
//!
//! They are as much of the real thing as whoever loads them looks at: a kernel has a kernel's header, an image
//! has the digest that the site says. What a kernel does is decided by its command line (`crate::machine`'s `live`).

use std::net::SocketAddr;

use bytes::Bytes;
use harmony_core::capability::{DiskImage, InstallSource};
use sha2::{Digest, Sha256};

/// iPXE for PC BIOS.
pub(super) const BIOS: &str = "undionly.kpxe";
/// iPXE for UEFI.
pub(super) const EFI: &str = "ipxe.efi";
/// The live environment's kernel and initramfs, and the image of the installed system.
pub(super) const KERNEL: &str = "sim/live-kernel.x86_64";
pub(super) const INITRD: &str = "sim/live-initramfs.x86_64.img";
const IMAGE: &str = "sim/metal.x86_64.raw.zst";
/// The tree of the live environment's other flavour, CentOS Stream's installer, below `/os/`.
pub const ANACONDA_TREE: &str = "sim/anaconda";
/// The CoreOS build that simulated clusters are installed from.
pub const SCOS_BUILD: &str = "9.0.20250411-0";
/// Where its files are offered.
const SCOS_MIRROR: &str = "https://mirror.sim.invalid/scos";
/// What the initramfs says before the digest of the root file system that it wants. The real one has it in
/// `/etc/coreos-live-want-rootfs`.
const WANTS_ROOTFS: &str = "070701, a simulated CoreOS initramfs, wants rootfs ";
/// A public key that fits no private key that anybody has.
const SSH_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJT5ljrkSX1UJGsiIKmMO8TIrzNb6frbqMIqR7qUZ6Si harmony-sim";

/// What a boot server must serve under `/os/` for simulated machines: path and contents.
#[must_use]
pub fn asset_files() -> Vec<(String, Bytes)> {
    let tree = |path: &str, bytes: Bytes| (format!("{ANACONDA_TREE}/{path}"), bytes);
    vec![
        (EFI.to_owned(), program()),
        (KERNEL.to_owned(), kernel()),
        (INITRD.to_owned(), initramfs()),
        (IMAGE.to_owned(), image()),
        tree(".treeinfo", Bytes::from_static(b"[stage2]\nmainimage = images/install.img\n")),
        tree("images/install.img", Bytes::from_static(b"hsqs, a simulated runtime\n")),
        tree("images/pxeboot/vmlinuz", kernel()),
        tree("images/pxeboot/initrd.img", initramfs()),
    ]
}

/// What a boot server must serve over TFTP for simulated machines: path and contents.
#[must_use]
pub fn tftp_files() -> Vec<(String, Bytes)> {
    vec![(BIOS.to_owned(), Bytes::from_static(b"a simulated iPXE\n")), (EFI.to_owned(), program())]
}

/// What is served as the inventory agent; machines that load it run the agent's library.
#[must_use]
pub fn agent_binary() -> Bytes {
    Bytes::from_static(b"\x7fELF, a simulated inventory agent\n")
}

/// What hosts are installed from.
pub(crate) fn install_source(server: SocketAddr) -> InstallSource {
    InstallSource {
        server,
        kernel: format!("/os/{KERNEL}"),
        initrd: format!("/os/{INITRD}"),
        rootfs: None,
        image: Some(DiskImage { path: format!("/os/{IMAGE}"), sha256: hex(&Sha256::digest(image())) }),
        args: Vec::new(),
        ssh_key: SSH_KEY.to_owned(),
    }
}

/// Kernel, initramfs and root file system of [`SCOS_BUILD`], as its mirror offers them: URL and contents.
#[must_use]
pub fn scos_files() -> [(String, Bytes); 3] {
    let url = |name: &str| format!("{SCOS_MIRROR}/scos-{SCOS_BUILD}-live-{name}");
    let rootfs = Bytes::from(format!("070701, the root file system of CoreOS {SCOS_BUILD}\n"));
    let initramfs = Bytes::from(format!("{WANTS_ROOTFS}{}\n", hex(&Sha256::digest(&rootfs))));
    [(url("kernel.x86_64"), kernel()), (url("initramfs.x86_64.img"), initramfs), (url("rootfs.x86_64.img"), rootfs)]
}

/// The digest of the root file system that an initramfs wants.
pub(crate) fn wanted_rootfs(initramfs: &[u8]) -> Option<&str> {
    std::str::from_utf8(initramfs).ok()?.strip_prefix(WANTS_ROOTFS).map(str::trim_end)
}

/// A digest in lower-case hex.
pub(crate) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn image() -> Bytes {
    Bytes::from_static(b"\x28\xb5\x2f\xfd, a simulated image\n")
}

fn initramfs() -> Bytes {
    Bytes::from_static(b"070701, a simulated initramfs\n")
}

/// A UEFI program begins like one of MS-DOS. Source: PE format, section "MS-DOS Stub".
fn program() -> Bytes {
    Bytes::from_static(b"MZ, a simulated iPXE\n")
}

/// The header that loaders look for. Source: Linux `Documentation/arch/x86/boot.rst`, `header` at 0x202.
fn kernel() -> Bytes {
    let mut bytes = vec![0; 0x206];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x202..].copy_from_slice(b"HdrS");
    bytes.into()
}
