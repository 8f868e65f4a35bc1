//! `dnsmasq` with a real DHCP client (`busybox udhcpc`) at the other end of a cable.

use std::net::IpAddr;
use std::time::Duration;

use harmony_core::capability::{DhcpServer, Reservation};
use harmony_core::error::{FailureKind, chain};
use harmony_core::net::MacAddress;

use crate::parts::dnsmasq::{Site, script};
use crate::world::until;

fn mac(text: &str) -> MacAddress {
    text.parse().expect("valid")
}

fn reservation(name: &str, address: &str, macs: &[&str]) -> Reservation {
    let address: IpAddr = address.parse().expect("valid");
    Reservation { hostname: name.parse().expect("valid"), address, macs: macs.iter().map(|text| mac(text)).collect() }
}

const A0: &str = "52:54:00:aa:00:01";
const A1: &str = "52:54:00:aa:00:02";
const B0: &str = "52:54:00:bb:00:01";

#[tokio::test]
async fn a_host_goes_from_the_pool_to_its_reservation() {
    let site = Site::new();
    let dnsmasq = site.dnsmasq();
    dnsmasq.ensure_running().await.expect("starts");
    assert!(site.address(A0).starts_with("10.10.0.1"), "an address of the pool");

    let wanted = reservation("node-a", "10.10.0.50", &[A0, A1]);
    dnsmasq.set_reservation(&wanted).await.expect("reserved");
    dnsmasq.set_reservation(&wanted).await.expect("as it is");
    assert_eq!(dnsmasq.reservations().await.expect("read"), std::slice::from_ref(&wanted));
    let (path, text) = dnsmasq.reservation_record(&wanted);
    assert_eq!(std::fs::read_to_string(path).expect("as planned"), text);
    assert_eq!(site.writes(), ["start dnsmasq --conf-file=/dhcp/dnsmasq.conf", "write /dhcp/hosts/node-a"]);

    // Firmware, initramfs and system each name themselves differently, on either NIC.
    for (mac, client_id) in
        [(A0, "0x3d:0152540000aa01"), (A1, "0x3d:ff00000001"), (A0, "0x3d:6e6f64652d61"), (A1, "0x3d:00")]
    {
        assert_eq!(site.ask(mac, &["-x", client_id]).split(' ').next(), Some("10.10.0.50"), "{mac} {client_id}");
    }
    let leases = dnsmasq.leases().await.expect("read");
    assert_eq!(
        leases.iter().map(|l| (l.mac, l.address.to_string())).collect::<Vec<_>>(),
        [(mac(A1), "10.10.0.50".to_owned())]
    );
    assert!(leases[0].expires_at.is_some());
    let log = dnsmasq.recent_log(mac(A1), 1).await.expect("read");
    assert!(log[0].contains("DHCPACK(ctl0) 10.10.0.50 52:54:00:aa:00:02"), "{log:?}");
    assert_eq!(dnsmasq.recent_log(mac(B0), 9).await.expect("read"), Vec::<String>::new());

    dnsmasq.stop().await.expect("ends");
    assert_eq!(dnsmasq.reservations().await.expect("read while it is down").len(), 1);
    assert_eq!(dnsmasq.leases().await.expect("read while it is down").len(), 1);
}

#[tokio::test]
async fn changed_and_removed_reservations_take_effect() {
    let site = Site::new();
    let dnsmasq = site.dnsmasq();
    dnsmasq.ensure_running().await.expect("starts");
    for address in ["10.10.0.50", "10.10.0.51", "10.10.0.50"] {
        dnsmasq.set_reservation(&reservation("node-a", address, &[A0])).await.expect("reserved");
        assert_eq!(site.address(A0), address);
    }
    dnsmasq.set_reservation(&reservation("node-a", "10.10.0.50", &[A0, A1])).await.expect("a NIC more");
    assert_eq!(site.address(A1), "10.10.0.50");
    dnsmasq.set_reservation(&reservation("node-a", "10.10.0.52", &[A0])).await.expect("that NIC is gone");
    assert_ne!(site.address(A1), "10.10.0.52");
    let count = site.writes().len();
    let node_a = "node-a".parse().expect("valid");
    for _ in 0..2 {
        dnsmasq.remove_reservation(&node_a).await.expect("removed");
    }
    assert_eq!(site.writes()[count..], ["remove /dhcp/hosts/node-a", "start dnsmasq --conf-file=/dhcp/dnsmasq.conf"]);
    dnsmasq.set_reservation(&reservation("node-b", "10.10.0.52", &[B0])).await.expect("the address is free again");
    assert_eq!(site.address(B0), "10.10.0.52");
}

#[tokio::test]
async fn a_change_that_was_cut_off_is_finished_by_the_next_run() {
    let site = Site::new();
    let dnsmasq = site.dnsmasq();
    dnsmasq.ensure_running().await.expect("starts");
    dnsmasq.set_reservation(&reservation("node-a", "10.10.0.50", &[A0])).await.expect("reserved");
    // Killed after the file was replaced, before dnsmasq was started again.
    let wanted = reservation("node-a", "10.10.0.60", &[A0]);
    std::fs::write(site.file("dhcp/restart-pending"), "").expect("written");
    let (path, text) = dnsmasq.reservation_record(&wanted);
    std::fs::write(path, text).expect("written");
    site.dnsmasq().set_reservation(&wanted).await.expect("repeated");
    assert_eq!(site.address(A0), "10.10.0.60");
    assert!(!site.file("dhcp/restart-pending").exists());
}

#[tokio::test]
async fn each_firmware_is_told_its_own_boot_file() {
    let site = Site::new();
    site.dnsmasq().ensure_running().await.expect("starts");
    let tftp = "10.10.0.1";
    for (who, options, boot) in [
        ("BIOS", vec!["-x", "0x5d:0000"], format!("undionly.kpxe {tftp}")),
        ("UEFI", vec!["-x", "0x5d:0007"], format!("ipxe.efi {tftp}")),
        ("UEFI byte code", vec!["-x", "0x5d:0009"], format!("ipxe.efi {tftp}")),
        (
            "UEFI over HTTP",
            vec!["-V", "HTTPClient:Arch:00016:UNDI:003001", "-x", "0x5d:0010"],
            format!("http://10.10.0.1:8080/ipxe.efi {tftp}"),
        ),
        ("iPXE", vec!["-x", "0x4d:69505845", "-x", "0x5d:0007"], format!("http://10.10.0.1:8080/boot.ipxe {tftp}")),
    ] {
        let answer = site.ask(A0, &options);
        let (_, told) = answer.split_once(' ').unwrap_or_default();
        assert_eq!(told, boot, "{who}: {answer}");
    }
    // udhcpc does not print option 60 of an answer; dnsmasq's log does.
    let log = std::fs::read_to_string(site.file("dhcp/dnsmasq.log")).expect("a log");
    assert!(
        log.contains("option: 60 vendor-class  48:54:54:50:43:6c:69:65:6e:74")
            || log.contains("option: 60 vendor-class  HTTPClient"),
        "{log}"
    );
}

#[tokio::test]
async fn it_outlives_its_starter_and_is_adopted() {
    let site = Site::new();
    let pid = || {
        std::fs::read_dir("/proc").expect("proc").filter_map(Result::ok).find_map(|entry| {
            let cmdline = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
            let ours = cmdline.starts_with("dnsmasq\0")
                && cmdline.contains(&site.file("dhcp/dnsmasq.conf").display().to_string());
            ours.then(|| entry.file_name().into_string().expect("a number"))
        })
    };
    site.dnsmasq().ensure_running().await.expect("starts");
    let first = pid().expect("runs");
    // proc_pid_stat(5): after the name come state, parent, group, session, terminal.
    let session_and_terminal = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("runs");
        let words: Vec<String> =
            stat.rsplit(')').next().expect("fields").split_whitespace().map(str::to_owned).collect();
        (words[3].clone(), words[4].clone())
    };
    let (session, terminal) = session_and_terminal(&first);
    assert_ne!(session, session_and_terminal("self").0, "a Ctrl-C here does not reach it");
    assert_eq!(terminal, "0");

    site.dnsmasq().ensure_running().await.expect("adopted");
    assert_eq!((pid().as_ref(), site.writes().len()), (Some(&first), 1), "the same process, nothing written");

    let longer = site.dnsmasq_with(|_, config| config.lease = Duration::from_secs(900));
    longer.ensure_running().await.expect("started again");
    let second = pid().expect("runs");
    assert_ne!(second, first);
    longer.ensure_running().await.expect("adopted");
    assert_eq!(pid(), Some(second));

    // Another Harmony's dnsmasq is none of ours.
    let other = Site::new();
    other.dnsmasq().ensure_running().await.expect("starts");
    longer.stop().await.expect("ends");
    longer.stop().await.expect("is not there");
    assert_eq!(pid(), None);
    assert!(other.dnsmasq().is_running().expect("read"));
}

#[tokio::test]
async fn what_cannot_work_is_refused() {
    let site = Site::new();
    let dnsmasq = site.dnsmasq();
    dnsmasq.ensure_running().await.expect("starts");
    dnsmasq.set_reservation(&reservation("node-a", "10.10.0.50", &[A0])).await.expect("reserved");
    let leased = site.address(B0);
    let count = site.writes().len();
    for (wanted, kind, why) in [
        (
            reservation("node-b", "10.10.0.50", &[B0]),
            FailureKind::Conflict,
            "`node-a` has 10.10.0.50 reserved".to_owned(),
        ),
        (reservation("node-b", "10.10.0.51", &[A0]), FailureKind::Conflict, format!("`node-a` has {A0} reserved")),
        (reservation("node-c", &leased, &[A1]), FailureKind::Conflict, format!("{B0} has a lease of {leased} until")),
        (reservation("node-c", "10.10.0.1", &[A1]), FailureKind::Invalid, "10.10.0.1 is no host address".to_owned()),
        (reservation("node-c", "192.0.2.1", &[A1]), FailureKind::Invalid, "192.0.2.1 is no host address".to_owned()),
        (reservation("node-c", "fd10::5", &[A1]), FailureKind::Invalid, "IPv4 addresses only".to_owned()),
        (reservation("node-c", "10.10.0.9", &[]), FailureKind::Invalid, "the MAC of at least one NIC".to_owned()),
    ] {
        let error = dnsmasq.set_reservation(&wanted).await.expect_err(&why);
        let text = chain(&error);
        assert!(error.kind() == kind && text.contains(&why) && error.hint_text().is_some(), "{text}");
        assert!(text.starts_with(&format!("failed to reserve {} for `{}`", wanted.address, wanted.hostname)), "{text}");
    }
    assert_eq!(site.writes().len(), count);

    let absent = site.dnsmasq_with(|spec, config| {
        spec.program = Some("/nonexistent/dnsmasq".into());
        config.state_dir = site.file("absent");
    });
    let error = absent.ensure_running().await.expect_err("not installed");
    assert!(chain(&error).starts_with("failed to start dnsmasq on `ctl0`"), "{}", chain(&error));
    assert_eq!(error.hint_text(), Some("install it: apt-get install dnsmasq-base"));
}

#[tokio::test]
async fn a_refused_configuration_leaves_the_running_one() {
    let site = Site::new();
    site.dnsmasq().ensure_running().await.expect("starts");
    let refusing = site.file("refusing");
    script(&refusing, "#!/bin/sh\necho 'dnsmasq: bad option at line 3' >&2\nexit 1");
    let changed = site.dnsmasq_with(|spec, config| {
        spec.program = Some(refusing);
        config.lease = Duration::from_secs(900);
    });
    let error = changed.ensure_running().await.expect_err("refused");
    assert!(
        chain(&error).ends_with(
            "dnsmasq refuses the configuration: `refusing` ended with exit status: 1: dnsmasq: bad option at line 3"
        ),
        "{}",
        chain(&error)
    );
    until("the earlier one still runs", async || site.dnsmasq().is_running().expect("read").then_some(())).await;
    assert!(!site.address(A0).is_empty());
}

#[tokio::test]
async fn a_log_that_has_grown_is_put_aside() {
    let site = Site::new();
    let dnsmasq = site.dnsmasq();
    dnsmasq.ensure_running().await.expect("starts");
    let log = std::fs::OpenOptions::new().append(true).open(site.file("dhcp/dnsmasq.log")).expect("a log");
    log.set_len(33 << 20).expect("grown");
    dnsmasq.ensure_running().await.expect("adopted");
    assert_eq!(site.writes().len(), 1, "it was not started again");
    until("a new log", async || site.file("dhcp/dnsmasq.log").exists().then_some(())).await;
    site.address(A0);
    let lines = dnsmasq.recent_log(mac(A0), 1).await.expect("read");
    assert!(lines[0].contains("DHCPACK"), "{lines:?}");
    assert!(site.file("dhcp/dnsmasq.log").metadata().expect("there").len() < 1 << 20);
}
