//! Network boot: scripts by an interpreter of iPXE, from the URL that DHCP hands out to the kernel's arguments.

use bytes::Bytes;
use harmony_sim::ipxe::{Action, Answer, Facts, FetchError, Ipxe, Lease, Loaded, Platform};
use serde_json::Value;

use super::{HOSTS, Made, macs};

const BASE: &str = "http://10.10.0.1:8080";

/// The file that the boot server would answer from.
fn served(made: &Made, url: &str) -> Option<Bytes> {
    let path = url.strip_prefix(BASE)?;
    if path.starts_with("/os/") {
        let mut kernel = vec![0; 0x206];
        kernel[0x202..].copy_from_slice(b"HdrS");
        return Some(kernel.into());
    }
    let name = match path.strip_prefix("/ipxe/chain?") {
        Some(query) => {
            let mac = query.split('&').find_map(|pair| pair.strip_prefix("mac="))?;
            let file = format!("{mac}.ipxe");
            if made.path(&file).exists() { file } else { "default.ipxe".to_owned() }
        }
        None => path.trim_start_matches('/').to_owned(),
    };
    Some(made.text(&name).into())
}

/// What a machine ends in that boots from the NIC with this MAC.
fn boot(made: &Made, mac: &str) -> Loaded {
    let facts = Facts {
        platform: Platform::Pcbios,
        uuid: "00112233-4455-6677-8899-aabbccddeeff".parse().expect("a UUID"),
        serial: "SN-0001".to_owned(),
        manufacturer: "Dell Inc.".to_owned(),
        product: "PowerEdge R640".to_owned(),
        nics: vec![mac.replace('-', ":").parse().expect("a MAC")],
    };
    let mut ipxe = Ipxe::new(facts, 0);
    ipxe.configure(Lease { nic: 0, address: [10, 10, 0, 150].into(), next_server: None, filename: None });
    let dhcp = made.text("dnsmasq-dhcp.conf");
    let url = dhcp.lines().find_map(|line| line.strip_prefix("dhcp-boot=tag:ipxe,")).expect("a script for iPXE");
    let mut action = ipxe.autoboot(url);
    for _ in 0..20 {
        action = match action {
            Action::Fetch { url, .. } => {
                ipxe.resume(Answer::Fetched(served(made, &url).ok_or(FetchError::Status(404))))
            }
            Action::Boot(loaded) => return loaded,
            other => panic!("{mac}: {other:?}"),
        };
    }
    panic!("{mac}: no kernel");
}

#[test]
fn every_nic_leads_to_its_hosts_installation() {
    let made = Made::new();
    let images: Value = serde_json::from_str(&made.text("boot-images.json")).expect("JSON");
    let [kernel, initramfs, rootfs] = [0, 1, 2].map(|at| {
        let file = &images["files"][at];
        let fetched = &file["fetched"];
        assert!(fetched["location"].is_string() && fetched["sha256"].as_str().is_some_and(|sha256| sha256.len() == 64));
        format!("{BASE}{}", file["path"].as_str().expect("a path"))
    });
    for host in HOSTS {
        let arguments = macs(host).map(|mac| {
            let loaded = boot(&made, &mac);
            assert_eq!(loaded.kernel.url, kernel);
            assert_eq!(loaded.initrds.iter().map(|image| image.url.as_str()).collect::<Vec<_>>(), [&initramfs]);
            let arguments = loaded.cmdline.expose();
            assert!(arguments.contains(&format!("coreos.live.rootfs_url={rootfs} ")), "{arguments}");
            arguments.replace(&format!("harmony.bootmac={mac} "), "")
        });
        assert_eq!(arguments[0], arguments[1], "whichever NIC it boots from");
        let is_bonded = host != "bootstrap";
        assert_eq!(arguments[0].contains(" bond=bond0:eno1,eno2:mode=802.3ad,"), is_bonded, "{}", arguments[0]);
        let answer = arguments[0].split(' ').find_map(|word| word.strip_prefix("coreos.inst.ignition_url="));
        let token = answer.and_then(|url| url.rsplit('/').next()).expect("a token");
        assert!(token.len() == 64 && token.bytes().all(|byte| byte.is_ascii_hexdigit()), "{token}");
    }
}

#[test]
fn an_unknown_machine_is_inventoried_and_an_installed_one_starts_from_its_disk() {
    let made = Made::new();
    let unknown = boot(&made, "52-54-00-ff-ff-ff");
    assert!(unknown.cmdline.expose().contains(&format!("inst.ks={BASE}/ks/inventory.ks ")));
    assert!(made.text("installed.ipxe").contains("sanboot"));
}
