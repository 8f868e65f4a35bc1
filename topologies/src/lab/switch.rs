//! The rack's switch: a private Open vSwitch in user space, its database, its ports.
//!
//! Only makes the hardware: ports are in the state in which a rack is delivered, access ports of
//! the provisioning VLAN. What becomes of them is the switch driver's.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::LabError;
use super::folder::Folder;
use super::namespace::Namespace;
use super::process::run;
use super::spec::Machine;

/// The bridge that is the switch.
pub(super) const BRIDGE: &str = "br0";
/// The port with which this machine is plugged in.
pub(super) const CONTROLLER: &str = "ctl0";
/// The provisioning VLAN.
pub(super) const VLAN: u16 = 10;
/// This machine's address in it; the same in every rack, for each has a namespace of its own.
pub(super) const ADDRESS: [u8; 4] = [10, 10, 0, 1];

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// Starts the switch and plugs everything in.
pub(super) fn start(folder: &Folder, namespace: &Namespace, machines: &[Machine]) -> Result<(), LabError> {
    let home = folder.switch();
    std::fs::create_dir(&home).map_err(LabError::file("make", &home))?;
    let doing = "start Open vSwitch";
    let database = home.join("conf.db");
    run(doing, Command::new("ovsdb-tool").arg("create").arg(&database).arg(SCHEMA))?;
    let mut server = daemon(namespace, &home, "ovsdb-server");
    server.arg(&database).arg(format!("--remote=punix:{}", folder.database_socket().display()));
    server.arg(control_socket(&home, "ovsdb.ctl"));
    run(doing, &mut server)?;
    run(doing, vsctl(folder).args(["--no-wait", "init"]))?;
    let mut switch = daemon(namespace, &home, "ovs-vswitchd");
    // Without --disable-system it would look for the kernel's datapath, which may be another's.
    switch.arg(format!("unix:{}", folder.database_socket().display())).arg("--disable-system");
    switch.arg(control_socket(&home, "vswitchd.ctl"));
    run(doing, &mut switch)?;

    for port in machines.iter().flat_map(|machine| machine.spec.name.ports()) {
        namespace.ip(&["tuntap", "add", "dev", &port, "mode", "tap"])?;
        namespace.sysctl(&format!("net.ipv6.conf.{port}.disable_ipv6"), "1")?;
        namespace.ip(&["link", "set", &port, "up"])?;
    }
    run("plug the machines into the switch", vsctl(folder).args(plug_in(machines)))?;
    let address = ADDRESS.map(|byte| byte.to_string()).join(".");
    namespace.ip(&["address", "add", &format!("{address}/24"), "dev", CONTROLLER])?;
    // Announced by router advertisement, this saves iPXE a timeout of eight seconds at each boot.
    namespace.ip(&["-6", "address", "add", "fd10:10::1/64", "dev", CONTROLLER, "nodad"])?;
    namespace.ip(&["link", "set", CONTROLLER, "up"])
}

/// One transaction: the bridge, this machine's port, and an access port with LLDP for each card.
fn plug_in(machines: &[Machine]) -> Vec<String> {
    let bridge = "datapath_type=netdev fail_mode=standalone other_config:disable-in-band=true";
    let mut line = format!(
        "add-br {BRIDGE} -- set bridge {BRIDGE} {bridge} \
         -- add-port {BRIDGE} {CONTROLLER} tag={VLAN} -- set interface {CONTROLLER} type=internal"
    );
    for port in machines.iter().flat_map(|machine| machine.spec.name.ports()) {
        line += &format!(" -- add-port {BRIDGE} {port} tag={VLAN} -- set interface {port} lldp:enable=true");
    }
    line.split_whitespace().map(str::to_owned).collect()
}

fn vsctl(folder: &Folder) -> Command {
    let mut command = Command::new("ovs-vsctl");
    command.arg(format!("--db=unix:{}", folder.database_socket().display())).arg("--timeout=10");
    command
}

/// A daemon of Open vSwitch that finds nothing of the machine's own one.
fn daemon(namespace: &Namespace, home: &Path, program: &str) -> Command {
    let mut command = namespace.command(program);
    for variable in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"] {
        command.env(variable, home);
    }
    command.args(["--detach", "--no-chdir", "-vconsole:off", "-vsyslog:off"]);
    command.arg(format!("--log-file={}", home.join(format!("{program}.log")).display()));
    command.arg(format!("--pidfile={}", home.join(format!("{program}.pid")).display()));
    command
}

fn control_socket(home: &Path, name: &str) -> String {
    format!("--unixctl={}", PathBuf::from(home).join(name).display())
}

#[cfg(test)]
mod tests {
    use super::super::spec::{LabName, MachineSpec};
    use super::*;

    #[test]
    fn every_card_has_an_access_port_with_lldp() {
        let name: LabName = "ab12cd".parse().expect("name");
        let machines = Machine::identify(&MachineSpec::usual(1), &name, uuid::Uuid::nil());
        insta::assert_snapshot!(plug_in(&machines).join(" ").replace(" -- ", "\n-- "), @r"
        add-br br0
        -- set bridge br0 datapath_type=netdev fail_mode=standalone other_config:disable-in-band=true
        -- add-port br0 ctl0 tag=10
        -- set interface ctl0 type=internal
        -- add-port br0 node-a-p0 tag=10
        -- set interface node-a-p0 lldp:enable=true
        -- add-port br0 node-a-p1 tag=10
        -- set interface node-a-p1 lldp:enable=true
        ");
    }
}
