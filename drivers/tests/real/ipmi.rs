//! `ipmi` against OpenIPMI's `ipmi_sim`, whose chassis is a script that keeps its state in files.

use std::path::Path;

use harmony_core::capability::{Bmc, BootDevice, PowerAction, PowerState};
use harmony_core::error::{FailureKind, chain};
use harmony_core::host::Firmware;
use harmony_drivers::WriteLog;
use harmony_drivers::bmc::PasswordSource;
use harmony_drivers::bmc::ipmi::IpmiSpec;

use crate::parts::ipmi::{Machine, id};
use crate::world::free_port;

fn sent(writes: &WriteLog) -> Vec<String> {
    writes.entries().into_iter().map(|write| write.command).collect()
}

#[tokio::test]
async fn power_follows_and_is_switched_only_where_needed() {
    let machine = Machine::new().await;
    let bmc = machine.bmc();
    assert_eq!(bmc.power_state(&id()).await.expect("read"), PowerState::Off);
    bmc.power(&id(), PowerAction::Off).await.expect("is off");
    assert_eq!(machine.changes(), Vec::<String>::new());

    machine.set("lag", "3");
    bmc.power(&id(), PowerAction::On).await.expect("comes on");
    assert_eq!(bmc.power_state(&id()).await.expect("read"), PowerState::On, "it waited until the BMC said so");
    bmc.power(&id(), PowerAction::On).await.expect("is on");
    bmc.power(&id(), PowerAction::Restart).await.expect("restarts");
    bmc.power(&id(), PowerAction::Off).await.expect("goes off");
    bmc.power(&id(), PowerAction::Restart).await.expect("an off machine is switched on");
    assert_eq!(machine.changes(), ["power 1", "reset 1", "power 0", "power 1"]);
    assert_eq!(
        sent(&machine.writes),
        ["chassis power on", "chassis power reset", "chassis power off", "chassis power on"]
    );
}

#[tokio::test]
async fn the_next_boot_device_reaches_the_chassis() {
    let machine = Machine::new().await;
    let bmc = machine.bmc();
    bmc.set_next_boot(&id(), BootDevice::Network, Some(Firmware::Uefi)).await.expect("set");
    bmc.set_next_boot(&id(), BootDevice::Disk, Some(Firmware::Bios)).await.expect("set");
    assert_eq!(machine.changes(), ["boot pxe", "boot default"]);
    assert_eq!(sent(&machine.writes), ["chassis bootdev pxe options=efiboot", "chassis bootdev disk"]);
    let planned = bmc.power_commands(&id(), PowerAction::Restart, BootDevice::Network, Some(Firmware::Uefi));
    let options = format!("ipmitool -I lanplus -H 127.0.0.1 -p {} -U admin -E -C 3", machine.port);
    assert_eq!(
        planned,
        [
            format!("{options} chassis bootdev pxe options=efiboot"),
            format!("{options} chassis power reset  # power on, if it is off"),
        ]
    );
    // The simulator holds a1234567…, first byte first; ipmitool takes it for IPMI's reverse order.
    let uuid = bmc.system_uuid(&id()).await.expect("read").expect("told");
    assert_eq!(uuid.to_string(), "efcdab89-6745-23a1-efcd-ab89674523a1");
}

#[tokio::test]
async fn each_way_to_fail_says_what_to_correct() {
    let machine = Machine::new().await;
    machine.set("wrong", "not-it");
    let (wrong, absent) = (machine.file("wrong"), machine.file("absent"));
    let silent = free_port();
    type Change<'a> = &'a dyn Fn(&mut IpmiSpec);
    let cases: [(&str, Change, FailureKind, String); 6] = [
        (
            "password",
            &|s| s.password = PasswordSource::File(wrong.clone()),
            FailureKind::Rejected,
            format!("wrong password for user `admin` of BMC `node-a`: correct {}", wrong.display()),
        ),
        (
            "password file",
            &|s| s.password = PasswordSource::File(absent.clone()),
            FailureKind::Invalid,
            "it holds the BMC's password".into(),
        ),
        ("user", &|s| s.user = "nobody".into(), FailureKind::Rejected, "has no user `nobody`".into()),
        ("cipher suite", &|s| s.cipher_suite = 17, FailureKind::Rejected, "does not offer cipher suite 17".into()),
        (
            "port",
            &|s| s.port = silent,
            FailureKind::Unreachable,
            format!("does BMC `node-a` answer at 127.0.0.1, UDP port {silent}"),
        ),
        (
            "name",
            &|s| s.address = "no-such-host.invalid".into(),
            FailureKind::Unreachable,
            "answer at no-such-host.invalid".into(),
        ),
    ];
    for (what, change, kind, hint) in cases {
        let error = machine.bmc_with(change).power(&id(), PowerAction::On).await.expect_err(what);
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (kind, "failed to switch on the machine of BMC `node-a`"),
            "{what}"
        );
        assert!(error.hint_text().expect("a hint").contains(&hint), "{what}: {error:?}");
        assert!(!format!("{error:?} {}", chain(&error)).contains("s3cret-pw") && !chain(&error).contains("not-it"));
    }
    assert_eq!(machine.changes(), Vec::<String>::new());
    assert!(sent(&machine.writes).is_empty());
}

#[tokio::test]
async fn the_password_is_in_no_process_list() {
    let machine = Machine::new().await;
    let bmc = machine.bmc();
    let mut seen = 0;
    let reading = async {
        for _ in 0..20 {
            bmc.power_state(&id()).await.expect("read");
        }
    };
    let watching = async {
        loop {
            for entry in std::fs::read_dir("/proc").expect("proc").filter_map(Result::ok) {
                let cmdline = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
                if cmdline.starts_with("ipmitool\0") && cmdline.contains(&format!("\0{}\0", machine.port)) {
                    seen += 1;
                    assert!(!cmdline.contains("s3cret-pw"));
                }
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::select! { () = reading => (), () = watching => () }
    assert!(seen > 0, "ipmitool was seen running");
    assert!(Path::new(&machine.file("password")).exists());
}
