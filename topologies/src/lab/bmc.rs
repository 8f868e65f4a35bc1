//! The machines' BMCs: one `ipmi_sim` each, which presses the machine's `power` switch.
//!
//! Source: ipmi_lan(5), ipmi_sim_cmd(5) of OpenIPMI 2.0.33.

use std::time::Duration;

use uuid::Uuid;

use super::LabError;
use super::folder::Folder;
use super::machine::write;
use super::namespace::Namespace;
use super::process::{log_tail, run, wait_until};
use super::spec::Machine;
use super::switch::ADDRESS;

/// The BMCs' user.
pub(super) const USER: &str = "admin";

/// The management controller's own set-up. Without `mc_setbmc`, `ipmi_sim` ends without a word.
const COMMANDS: &str = "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\nmc_enable 0x20\n";

/// Starts a machine's BMC.
pub(super) fn start(folder: &Folder, namespace: &Namespace, machine: &Machine) -> Result<(), LabError> {
    let home = folder.machine(&machine.spec.name);
    let state = home.join("bmc");
    std::fs::create_dir(&state).map_err(LabError::file("make", &state))?;
    // 16 bytes are what IPMI 1.5 can hold, too.
    let password = Uuid::new_v4().simple().to_string()[..16].to_owned();
    write(&folder.bmc_password(&machine.spec.name), &format!("{password}\n"), 0o600)?;
    write(&home.join("lan.conf"), &lan_conf(machine, &password), 0o600)?;
    write(&home.join("bmc.commands"), COMMANDS, 0o600)?;

    let mut command = namespace.command("setsid");
    command.current_dir(&home).args([
        "--fork",
        "sh",
        "-c",
        "exec ipmi_sim -n -c lan.conf -f bmc.commands -s bmc >bmc.out 2>&1",
    ]);
    run(format!("start the BMC of `{}`", machine.spec.name), &mut command)?;
    if wait_until(Duration::from_secs(10), || listens(namespace, machine.bmc_port)) {
        return Ok(());
    }
    let what = format!("the BMC of `{}`", machine.spec.name);
    Err(LabError::Silent { what, log: log_tail(&home.join("bmc.out")) })
}

/// Whether somebody in the namespace has bound that UDP port at the rack's address.
fn listens(namespace: &Namespace, port: u16) -> bool {
    let tables =
        namespace.processes().into_iter().find_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/net/udp")).ok());
    // Source: proc_pid_net(5): addresses are in host byte order.
    let socket = format!(" {:08X}:{port:04X} ", u32::from_ne_bytes(ADDRESS));
    tables.is_some_and(|table| table.contains(&socket))
}

/// The configuration; it holds the password.
fn lan_conf(machine: &Machine, password: &str) -> String {
    // SMBIOS order, the first three fields little-endian: most BMCs send it so, and ipmitool prints
    // the UUID that the machine's own SMBIOS shows. Source: DMTF DSP0134, 7.2.1.
    let guid: String = machine.uuid.to_bytes_le().iter().map(|byte| format!("{byte:02x}")).collect();
    let address = ADDRESS.map(|byte| byte.to_string()).join(".");
    format!(
        r#"name "{name}"
set_working_mc 0x20
  startlan 1
    addr {address} {port}
    priv_limit admin
    allowed_auths_admin md5
    guid {guid}
  endlan
  chassis_control "./power 0x20"
  user 1 false "" "{password}" user 1 md5
  user 2 true "{USER}" "{password}" admin 10 md5
"#,
        name = machine.spec.name,
        port = machine.bmc_port,
    )
}

#[cfg(test)]
mod tests {
    use super::super::spec::{LabName, MachineSpec};
    use super::*;

    #[test]
    fn configuration() {
        let name: LabName = "ab12cd".parse().expect("name");
        let seed = uuid::uuid!("a1b2c3d4-e5f6-4718-8293-a4b5c6d7e8f9");
        let machines = Machine::identify(&MachineSpec::usual(1), &name, seed);
        insta::assert_snapshot!(lan_conf(&machines[0], "0123456789abcdef"));
    }
}
