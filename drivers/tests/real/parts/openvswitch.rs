//! A private Open vSwitch.

use harmony_drivers::WriteLog;
use harmony_drivers::switch::openvswitch::{OpenVswitch, OpenVswitchSpec};

use crate::world::{Namespace, end_daemon, require, run};

/// Programs that it needs, each with its Debian package.
pub(crate) const NEEDS: [(&str, &str); 3] =
    [("ovs-vsctl", "openvswitch-switch"), ("ip", "iproute2"), ("busybox", "busybox-static")];

/// Bridge `br0` with access ports p0…p3 in VLAN 10; their cables end in h0…h3.
pub(crate) struct Rack {
    pub(crate) namespace: Namespace,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) writes: WriteLog,
}

impl Rack {
    pub(crate) fn new() -> Self {
        require(&NEEDS);
        let rack = Self {
            namespace: Namespace::new(),
            folder: tempfile::tempdir().expect("folder"),
            writes: WriteLog::default(),
        };
        let (folder, env) = (rack.folder.path(), |name: &str| format!("{name}={}", rack.folder.path().display()));
        let file = |name: &str| folder.join(name).display().to_string();
        run("ovsdb-tool", &["create", &file("conf.db"), "/usr/share/openvswitch/vswitch.ovsschema"]);
        let daemon = |program: &str, name: &str, args: &[&str]| {
            let places = [env("OVS_RUNDIR"), env("OVS_LOGDIR"), env("OVS_DBDIR"), env("OVS_SYSCONFDIR")];
            let options = [
                format!("--unixctl={}", file(&format!("{name}.ctl"))),
                format!("--pidfile={}", file(&format!("{name}.pid"))),
            ];
            let log = format!("--log-file={}", file(&format!("{name}.log")));
            let words: Vec<&str> = places
                .iter()
                .map(String::as_str)
                .chain([program])
                .chain(args.iter().copied())
                .chain(options.iter().map(String::as_str))
                .chain([log.as_str(), "--detach", "--no-chdir"])
                .collect();
            rack.namespace.run("env", &words);
        };
        daemon("ovsdb-server", "ovsdb", &[&file("conf.db"), &format!("--remote=punix:{}", file("db.sock"))]);
        rack.vsctl(&["--no-wait", "init"]);
        daemon("ovs-vswitchd", "vswitchd", &[&rack.db(), "--disable-system"]);
        for bridge in ["br0", "host"] {
            rack.vsctl(&[
                "add-br",
                bridge,
                "--",
                "set",
                "bridge",
                bridge,
                "datapath_type=netdev",
                "fail_mode=standalone",
            ]);
        }
        for n in 0..4 {
            let (port, cable) = (format!("p{n}"), format!("h{n}"));
            rack.namespace.ip(&["link", "add", &port, "type", "veth", "peer", "name", &cable]);
            rack.namespace.ip(&["link", "set", &port, "up"]);
            rack.namespace.ip(&["link", "set", &cable, "up"]);
            rack.vsctl(&["add-port", "br0", &port, "tag=10"]);
        }
        rack
    }

    pub(crate) fn db(&self) -> String {
        format!("unix:{}", self.folder.path().join("db.sock").display())
    }

    pub(crate) fn vsctl(&self, args: &[&str]) {
        run("ovs-vsctl", &[&[format!("--db={}", self.db()).as_str(), "--timeout=10"], args].concat());
    }

    pub(crate) fn appctl(&self, args: &[&str]) -> String {
        let socket = self.folder.path().join("vswitchd.ctl").display().to_string();
        String::from_utf8_lossy(&run("ovs-appctl", &[&["-t", &socket], args].concat()).stdout).into_owned()
    }

    pub(crate) fn switch(&self) -> OpenVswitch {
        self.switch_with(|_| ())
    }

    pub(crate) fn switch_with(&self, change: impl FnOnce(&mut OpenVswitchSpec)) -> OpenVswitch {
        let ports = ["p0", "p1", "p2"].map(|port| port.parse().expect("valid"));
        let mut spec = OpenVswitchSpec {
            db: self.db(),
            bridge: "br0".parse().expect("valid"),
            host_ports: ports.to_vec(),
            appctl: None,
        };
        change(&mut spec);
        OpenVswitch::new("tor".parse().expect("valid"), spec, self.writes.clone())
    }

    pub(crate) fn count(&self) -> usize {
        self.writes.counts().get("openvswitch").copied().unwrap_or(0)
    }

    /// Bonds h0 and h1, as a host that speaks LACP.
    pub(crate) fn bond_host(&self) {
        self.vsctl(&["add-bond", "host", "bond0", "h0", "h1", "lacp=active", "other_config:lacp-time=fast"]);
    }
}

impl Drop for Rack {
    fn drop(&mut self) {
        for daemon in ["vswitchd.pid", "ovsdb.pid"] {
            end_daemon(&self.folder.path().join(daemon));
        }
    }
}
