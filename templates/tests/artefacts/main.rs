//! Whole artefacts as snapshots, and what no value may do to them.

mod clusters;
mod injection;
mod installer;
mod kickstart;
mod snapshots;

use harmony_core::boot::{LinkPlan, Order, OrderId, OrderState};
use harmony_core::capability::{DiskImage, InstallSource};
use harmony_core::host::HostId;
use harmony_core::net::MacAddress;
use harmony_templates::LiveEnvironment;

const BASE: &str = "http://10.10.0.1:8080";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFhhcm1vbnlIYXJtb255SGFybW9ueQ operator@site";
const SHA256: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn mac(last: u8) -> MacAddress {
    MacAddress::new([0x52, 0x54, 0, 0, 0, last])
}

fn order() -> Order {
    Order {
        id: OrderId { host: HostId::derive("uuid:1", 0), number: 1 },
        role: "master-0".parse().expect("a role"),
        hostname: "master-0.ocp4.example.com".parse().expect("a name"),
        address: [10, 10, 0, 11].into(),
        disk_serial: "SN-DISK-1".into(),
        disk_path: "/dev/disk/by-id/virtio-SN-DISK-1".into(),
        link: LinkPlan::bond("bond0", mac(1), vec![("eno1".into(), mac(1)), ("eno2".into(), mac(2))]),
        issued_at: jiff::Timestamp::UNIX_EPOCH,
        expires_at: jiff::Timestamp::UNIX_EPOCH,
        attempt: 1,
        state: OrderState::Issued,
        failure: None,
    }
}

fn source() -> InstallSource {
    InstallSource {
        server: ([10, 10, 0, 1], 8080).into(),
        kernel: "/os/live/vmlinuz".into(),
        initrd: "/os/live/initramfs".into(),
        rootfs: None,
        image: Some(DiskImage { path: "/os/node/node.raw.zst".into(), sha256: SHA256.into() }),
        args: vec!["console=ttyS0,115200n8".into()],
        ssh_key: KEY.into(),
    }
}

fn initramfs() -> LiveEnvironment {
    LiveEnvironment::Initramfs { kernel: "live/vmlinuz".into(), initrd: "live/initramfs".into() }
}
