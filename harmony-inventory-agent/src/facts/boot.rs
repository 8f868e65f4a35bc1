//! What was booted: kernel, firmware mode, Secure Boot, boot id, uptime.

use harmony_core::report::v1::Boot;

use super::Notes;
use crate::root::{Reason, Root};

const EFIVARS: &str = "sys/firmware/efi/efivars";

/// The variable `SecureBoot` of `EFI_GLOBAL_VARIABLE`. Source: UEFI 2.10 clause 3.3.
const SECURE_BOOT: &str = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

pub(super) fn collect(root: &Root, has_smbios: bool, notes: &mut Notes) -> Boot {
    let firmware = notes.keep("/boot/firmware", firmware(root, has_smbios));
    let secure_boot = match firmware.as_deref() {
        Some("uefi") => notes.keep("/boot/secure_boot", secure_boot(root)),
        _ => None,
    };
    Boot {
        boot_id: notes.keep("/boot/boot_id", root.text("proc/sys/kernel/random/boot_id")),
        uptime_s: notes.keep("/boot/uptime_s", uptime_s(root)),
        kernel: notes.keep("/boot/kernel", root.text("proc/sys/kernel/osrelease")),
        firmware,
        secure_boot,
    }
}

/// UEFI leaves `/sys/firmware/efi`. A machine without it has a BIOS if anything but a hypervisor's direct
/// boot left an SMBIOS table.
fn firmware(root: &Root, has_smbios: bool) -> Result<String, Reason> {
    if root.exists("sys/firmware/efi") {
        Ok("uefi".to_owned())
    } else if has_smbios {
        Ok("bios".to_owned())
    } else if root.exists("sys/kernel") {
        Err(Reason::new("neither /sys/firmware/efi nor an SMBIOS table: the kernel may have been started directly"))
    } else {
        Err(Reason::new("/sys/kernel: No such file or directory (is sysfs mounted?)"))
    }
}

fn secure_boot(root: &Root) -> Result<bool, Reason> {
    if !root.exists(SECURE_BOOT) {
        let mounted = root.names(EFIVARS).is_ok_and(|names| !names.is_empty());
        let why = if mounted { "the firmware has no variable SecureBoot" } else { "efivarfs is not mounted" };
        return Err(Reason::new(why));
    }
    // Four bytes of attributes, one of value.
    match root.bytes(SECURE_BOOT, 8)?.as_slice() {
        [_, _, _, _, 0] => Ok(false),
        [_, _, _, _, 1] => Ok(true),
        _ => Err(Reason::new(format!("/{SECURE_BOOT}: is neither 0 nor 1"))),
    }
}

fn uptime_s(root: &Root) -> Result<u64, Reason> {
    let text = root.text("proc/uptime")?;
    let seconds = text.split('.').next().and_then(|whole| whole.parse().ok());
    seconds.ok_or_else(|| Reason::new(format!("/proc/uptime: `{text}` is no time")))
}

/// `VmHWM` of this process. Only of the live one: a recorded tree has no process of ours.
pub(super) fn peak_memory_bytes(root: &Root) -> Option<u64> {
    let status = root.bytes("proc/self/status", 4096).ok()?;
    let status = String::from_utf8_lossy(&status);
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    kib.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}
