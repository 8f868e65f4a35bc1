//! A machine: its disk, its firmware, its power switch.
//!
//! Machines are made switched off. What runs QEMU is `power`, a script in the machine's folder with
//! the arguments beside it, so that a BMC and a person press the same button.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::LabError;
use super::folder::Folder;
use super::namespace::Namespace;
use super::prerequisites::{OVMF_CODE, OVMF_VARS};
use super::spec::{Machine, MachineFirmware};

const POWER: &str = include_str!("../../assets/machine/power");

/// Makes a machine.
pub(super) fn make(
    folder: &Folder,
    namespace: &Namespace,
    accelerator: &str,
    machine: &Machine,
) -> Result<(), LabError> {
    let home = folder.machine(&machine.spec.name);
    std::fs::create_dir(&home).map_err(LabError::file("make", &home))?;
    let disk = home.join("disk.raw");
    let size = u64::from(machine.spec.disk_gib) << 30;
    std::fs::File::create_new(&disk).and_then(|file| file.set_len(size)).map_err(LabError::file("make", &disk))?;
    if machine.spec.firmware.is_uefi() {
        let variables = home.join("vars.fd");
        std::fs::copy(OVMF_VARS, &variables).map_err(LabError::file("make", &variables))?;
    }
    let mut arguments = qemu_arguments(machine, accelerator).join("\n");
    arguments.push('\n');
    write(&home.join("qemu.args"), &arguments, 0o600)?;
    write(&home.join("namespace"), &format!("{}\n", namespace.name()), 0o600)?;
    write(&home.join("power"), POWER, 0o700)
}

/// Writes a file of the rack with its mode.
pub(super) fn write(path: &Path, text: &str, mode: u32) -> Result<(), LabError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    // The mode holds from the first byte on: some of these files hold passwords.
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = file.and_then(|mut file| {
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())
    });
    written.map_err(LabError::file("write", path))
}

/// Whether a machine is switched on: as `power` sees it.
pub(super) fn is_on(folder: &Folder, machine: &Machine) -> bool {
    let pid = std::fs::read_to_string(folder.machine(&machine.spec.name).join("qemu.pid")).unwrap_or_default();
    let program = std::fs::read_to_string(format!("/proc/{}/comm", pid.trim())).unwrap_or_default();
    // The kernel keeps 15 bytes of a program's name.
    program.trim() == "qemu-system-x86"
}

/// QEMU's arguments. `power` writes the disk's boot index in the place of the word `disk`.
fn qemu_arguments(machine: &Machine, accelerator: &str) -> Vec<String> {
    let Machine { spec, uuid, serial, disk_serial, macs, .. } = machine;
    let mut arguments = Vec::new();
    let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
    add("-name", spec.name.to_string());
    add("-machine", "q35,graphics=off".to_owned());
    match accelerator {
        "kvm" => {
            add("-accel", "kvm".to_owned());
            add("-cpu", "host".to_owned());
        }
        _ => add("-accel", "tcg,tb-size=256".to_owned()),
    }
    add("-smp", spec.cpus.to_string());
    add("-m", spec.memory_mib.to_string());
    add("-display", "none".to_owned());
    add("-smbios", format!("type=1,manufacturer=Harmony,product=Virtual Rack,serial={serial},uuid={uuid}"));
    if spec.firmware.is_uefi() {
        add("-drive", format!("if=pflash,format=raw,readonly=on,file={OVMF_CODE}"));
        add("-drive", "if=pflash,format=raw,file=vars.fd".to_owned());
    }
    add("-chardev", "file,id=console,path=console.log,append=on".to_owned());
    add("-serial", "chardev:console".to_owned());
    add("-chardev", "pipe,id=monitor,path=monitor".to_owned());
    add("-mon", "chardev=monitor,mode=readline".to_owned());
    // What a crash of this machine would lose is of no worth.
    add("-drive", "if=none,id=disk0,file=disk.raw,format=raw,cache=unsafe,discard=unmap".to_owned());
    add("-device", format!("virtio-blk-pci,id=disk,drive=disk0,serial={disk_serial},bootindex=disk"));
    // An empty ROM leaves PXE to the firmware.
    let rom = if spec.firmware == MachineFirmware::UefiPxe { ",romfile=" } else { "" };
    for ((nic, port), mac) in (0..).zip(spec.name.ports()).zip(macs) {
        // With vnet_hdr, checksums are left to hardware that a switch in user space is not.
        add("-netdev", format!("tap,id=p{nic},ifname={port},script=no,downscript=no,vnet_hdr=off"));
        // LACP needs speed and duplex: without them the actor's key is 0, and nothing is negotiated.
        let card = format!("virtio-net-pci,netdev=p{nic},mac={mac},speed=1000,duplex=full");
        add("-device", format!("{card},bootindex={}{rom}", nic + 1));
    }
    add("-device", "virtio-rng-pci".to_owned());
    add("-pidfile", "qemu.pid".to_owned());
    arguments.extend(["-nodefaults", "-no-user-config"].map(str::to_owned));
    arguments
}

#[cfg(test)]
mod tests {
    use super::super::spec::{LabName, MachineSpec};
    use super::*;

    fn arguments(index: usize, accelerator: &str) -> String {
        let name: LabName = "ab12cd".parse().expect("name");
        let seed = uuid::uuid!("5afe0000-1111-4222-8333-444444444440");
        let machines = Machine::identify(&MachineSpec::usual(3), &name, seed);
        qemu_arguments(&machines[index], accelerator)
            .join("\n")
            .replace("\n-", "¶-")
            .replace('\n', " ")
            .replace('¶', "\n")
    }

    #[test]
    fn arguments_of_each_firmware() {
        insta::assert_snapshot!("qemu_bios_ipxe", arguments(0, "tcg"));
        insta::assert_snapshot!("qemu_uefi_ipxe_with_kvm", arguments(1, "kvm"));
        insta::assert_snapshot!("qemu_uefi_pxe", arguments(2, "tcg"));
    }

    #[test]
    fn one_argument_is_one_line() {
        for index in 0..3 {
            let lines = arguments(index, "tcg");
            assert!(lines.contains("bootindex=disk\n"), "power has to find the disk's boot index: {lines}");
        }
    }
}
