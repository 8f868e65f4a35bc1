//! Every script that Harmony renders, carried out by iPXE's rules.

use std::collections::BTreeSet;

use harmony_core::boot::{LinkPlan, Order, OrderId, OrderState};
use harmony_core::capability::{DiskImage, InstallSource};
use harmony_core::host::HostId;
use harmony_core::net::MacAddress;
use harmony_core::secret::Secret;
use harmony_sim::ipxe::{Action, Answer, End, Facts, FetchError, Ipxe, Lease, Loaded, Platform};
use harmony_templates::{
    BootChain, DefaultIpxe, LiveEnvironment, ScosBoot, boot_chain, default_ipxe, disk_boot, scos_boot,
};

const BASE: &str = "http://10.10.0.1:8080";

fn macs() -> Vec<MacAddress> {
    (1..=9).map(|last| MacAddress::new([0x52, 0x54, 0, 0, 0, last])).collect()
}

fn facts(platform: Platform, nics: usize) -> Facts {
    Facts {
        platform,
        uuid: "00112233-4455-6677-8899-aabbccddeeff".parse().expect("a UUID"),
        serial: "S 1/&".to_owned(),
        manufacturer: "LabCorp".to_owned(),
        product: "SimServer".to_owned(),
        nics: macs()[..nics].to_vec(),
    }
}

/// What a script does with a server that has all files, or none.
fn carry_out(ipxe: &mut Ipxe, mut action: Action, has_files: bool, steps: usize) -> (Vec<String>, Option<Loaded>) {
    let mut kernel = vec![0; 0x206];
    kernel[..2].copy_from_slice(b"MZ");
    kernel[0x202..].copy_from_slice(b"HdrS");
    let mut did = Vec::new();
    for _ in 0..steps {
        let answer = match action {
            Action::Fetch { url, timeout } => {
                assert!(timeout.is_some(), "{url} is fetched with a time limit");
                did.push(url);
                let file = if has_files { Ok(kernel.clone().into()) } else { Err(FetchError::Status(404)) };
                Answer::Fetched(file)
            }
            Action::Sleep(time) => {
                did.push(format!("sleep {}", time.as_secs()));
                Answer::Done
            }
            Action::Dhcp(nics) => {
                did.push(format!("dhcp {nics:?}"));
                let lease = |nic| Lease { nic, address: [10, 10, 64, 1].into(), next_server: None, filename: None };
                Answer::Leased((nics.len() > 1).then(|| lease(1)))
            }
            Action::SanBoot(drive) => {
                did.push(format!("sanboot {drive:#x}"));
                Answer::Failed("no disk".to_owned())
            }
            Action::Boot(loaded) => return (did, Some(loaded)),
            Action::End(End::Exit(status)) => {
                did.push(format!("exit {status}"));
                return (did, None);
            }
            other => panic!("{other:?} after {did:?}"),
        };
        action = ipxe.resume(answer);
    }
    (did, None)
}

/// Carries out a script on a machine with an address.
fn run(platform: Platform, script: &str, has_files: bool, steps: usize) -> (Vec<String>, Option<Loaded>) {
    let mut ipxe = Ipxe::new(facts(platform, 3), 1);
    ipxe.configure(Lease { nic: 1, address: [10, 10, 64, 1].into(), next_server: None, filename: None });
    let action = ipxe.run(&format!("{BASE}/boot.ipxe"), script).expect("a script");
    carry_out(&mut ipxe, action, has_files, steps)
}

fn install() -> String {
    let macs = macs();
    let order = Order {
        id: OrderId { host: HostId::derive("uuid:1", 0), number: 1 },
        role: "node".parse().expect("a role"),
        hostname: "node".parse().expect("a name"),
        address: [10, 10, 0, 11].into(),
        disk_serial: "S1".into(),
        disk_path: "/dev/disk/by-id/virtio-S1".into(),
        link: LinkPlan::bond("bond0", macs[0], vec![("eth0".into(), macs[0]), ("eth1".into(), macs[1])]),
        issued_at: jiff::Timestamp::UNIX_EPOCH,
        expires_at: jiff::Timestamp::UNIX_EPOCH,
        attempt: 1,
        state: OrderState::Issued,
        failure: None,
    };
    let source = InstallSource {
        server: ([10, 10, 0, 1], 8080).into(),
        kernel: "/os/live/vmlinuz".into(),
        initrd: "/os/live/initramfs".into(),
        rootfs: Some("/os/live/rootfs".into()),
        image: Some(DiskImage { path: "/os/node/node.raw.zst".into(), sha256: "9f".repeat(32) }),
        args: vec!["console=ttyS0,115200n8".into()],
        ssh_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFhhcm1vbnlIYXJtb255SGFybW9ueQ".into(),
    };
    scos_boot(&ScosBoot { order: &order, source: &source }).expect("renders")
}

fn inventory(environment: &LiveEnvironment) -> String {
    let token = Secret::new("s3cret");
    let script = DefaultIpxe {
        base_url: BASE,
        environment,
        agent_token: Some(&token),
        extra_args: &[],
        notice: Some("two hosts"),
    };
    default_ipxe(&script).expect("renders")
}

#[test]
fn the_boot_chain_tells_who_asks_and_asks_again_for_ever() {
    let chain = boot_chain(&BootChain { base_url: BASE }).expect("renders");
    let query = "uuid=00112233-4455-6677-8899-aabbccddeeff&mac=52-54-00-00-00-02&mac=52-54-00-00-00-01\
        &mac=52-54-00-00-00-02&mac=52-54-00-00-00-03&serial=S%201%2F%26";
    let asked = format!("{BASE}/ipxe/chain?{query}");
    let (did, _) = run(Platform::Efi, &chain, false, 8);
    assert_eq!(did[..4], [asked.clone(), "sleep 3".to_owned(), "dhcp [1]".to_owned(), "dhcp [0, 1, 2]".to_owned()]);
    assert_eq!(did[4], asked, "and so on");

    // Without an address it gets one first; with nine NICs it tells eight.
    let mut ipxe = Ipxe::new(facts(Platform::Pcbios, 9), 0);
    let action = ipxe.run(&format!("{BASE}/boot.ipxe"), &chain).expect("a script");
    let (did, _) = carry_out(&mut ipxe, action, false, 4);
    assert_eq!(did[..2], ["dhcp [0]", "dhcp [0, 1, 2, 3, 4, 5, 6, 7, 8]"]);
    let told: BTreeSet<&str> = did[2].split('&').filter(|part| part.contains("mac=")).collect();
    assert_eq!(told.len(), 8, "{}", did[2]);
}

#[test]
fn what_boots_a_kernel_boots_it_on_both_firmwares() {
    let initramfs = LiveEnvironment::Initramfs { kernel: "live/vmlinuz".into(), initrd: "live/initramfs".into() };
    let anaconda = LiveEnvironment::Anaconda { tree: "centos-stream-9".into() };
    for script in [install(), inventory(&initramfs), inventory(&anaconda)] {
        for platform in [Platform::Pcbios, Platform::Efi] {
            let (did, loaded) = run(platform, &script, true, 10);
            let loaded = loaded.unwrap_or_else(|| panic!("{script} boots: {did:?}"));
            assert!(loaded.initramfs(platform).is_some(), "{script}");
            assert_eq!(did.len(), 2, "a kernel and an initramfs: {did:?}");
            assert!(!loaded.cmdline.expose().contains("${"), "everything is expanded");
            // Whatever is not there, the boot server is asked anew.
            let (did, _) = run(platform, &script, false, 3);
            assert_eq!(did[1..], ["sleep 3".to_owned(), format!("{BASE}/boot.ipxe")], "{script}");
        }
    }
}

#[test]
fn the_inventory_script_names_the_nic_that_booted() {
    let environment = LiveEnvironment::Initramfs { kernel: "live/vmlinuz".into(), initrd: "live/initramfs".into() };
    let (_, loaded) = run(Platform::Efi, &inventory(&environment), true, 10);
    let cmdline = loaded.expect("boots").cmdline;
    assert!(cmdline.expose().contains("BOOTIF=01-52-54-00-00-00-02 "), "{}", cmdline.expose());
}

#[test]
fn the_disk_script_starts_the_disk_or_gives_back() {
    let script = disk_boot().expect("renders");
    assert_eq!(run(Platform::Efi, &script, true, 5).0, ["exit 1"]);
    assert_eq!(run(Platform::Pcbios, &script, true, 5).0, ["sanboot 0x80", "exit 1"]);
}

#[test]
fn a_script_with_a_typo_fails_where_it_is() {
    for (from, to, line) in [("kernel --timeout", "kernel --timout", 3), ("initrd ", "initd ", 4)] {
        let script = install().replacen(from, to, 1).replace("|| goto again", "");
        let mut ipxe = Ipxe::new(facts(Platform::Efi, 2), 0);
        let mut action = ipxe.run("http://10.10.0.1/x.ipxe", &script).expect("a script");
        let mut kernel = vec![b'M', b'Z'];
        kernel.resize(0x300, 0);
        let error = loop {
            action = match action {
                Action::Fetch { .. } => ipxe.resume(Answer::Fetched(Ok(kernel.clone().into()))),
                Action::End(End::Failed(error)) => break error,
                other => panic!("{other:?}"),
            };
        };
        assert_eq!((error.line, error.script.as_str()), (line, "x.ipxe"), "{error}");
    }
}
