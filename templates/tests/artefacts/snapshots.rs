//! Every artefact, whole.

use harmony_core::capability::DiskImage;
use harmony_core::secret::Secret;
use harmony_templates::{
    BootChain, DefaultIpxe, InventoryKickstart, LiveEnvironment, NodeIgnition, ScosBoot, boot_chain, default_ipxe,
    disk_boot, ignition, inventory_ks, link_keyfiles, scos_boot,
};
use insta::assert_snapshot;

use super::{BASE, KEY, SHA256, initramfs, order, source};

#[test]
fn boot_chain_script() {
    assert_snapshot!("boot.ipxe", boot_chain(&BootChain { base_url: BASE }).expect("renders"));
}

#[test]
fn default_script_with_the_initramfs() {
    let token = Secret::new("s3cret");
    let extra_args = ["console=ttyS0,115200n8".to_owned()];
    let environment = &initramfs();
    let script = DefaultIpxe {
        base_url: BASE,
        environment,
        agent_token: Some(&token),
        extra_args: &extra_args,
        notice: Some("two hosts have 52:54:00:00:00:01"),
    };
    assert_snapshot!("default.ipxe-initramfs", default_ipxe(&script).expect("renders"));
}

#[test]
fn default_script_with_anaconda() {
    let environment = &LiveEnvironment::Anaconda { tree: "centos-stream-9".into() };
    let script = DefaultIpxe { base_url: BASE, environment, agent_token: None, extra_args: &[], notice: None };
    assert_snapshot!("default.ipxe-anaconda", default_ipxe(&script).expect("renders"));
}

#[test]
fn install_script_of_the_lab() {
    assert_snapshot!(
        "scos-boot.ipxe-lab",
        scos_boot(&ScosBoot { order: &order(), source: &source() }).expect("renders")
    );
}

#[test]
fn install_script_of_scos() {
    let mut order = order();
    order.disk_serial = "S3Z8 NB0K/1%".into();
    let mut source = source();
    source.kernel = "/os/scos-4.19/scos-9.0.20250510-0-live-kernel.x86_64".into();
    source.initrd = "/os/scos-4.19/scos-9.0.20250510-0-live-initramfs.x86_64.img".into();
    source.rootfs = Some("/os/scos-4.19/scos-9.0.20250510-0-live-rootfs.x86_64.img".into());
    let path = "/os/scos-4.19/scos-9.0.20250510-0-metal.x86_64.raw.gz".into();
    source.image = Some(DiskImage { path, sha256: SHA256.into() });
    source.args = vec!["console=tty0".into(), "console=ttyS0,115200n8".into(), "coreos.inst.insecure".into()];
    assert_snapshot!("scos-boot.ipxe-scos", scos_boot(&ScosBoot { order: &order, source: &source }).expect("renders"));
}

#[test]
fn disk_script() {
    assert_snapshot!("disk.ipxe", disk_boot().expect("renders"));
}

#[test]
fn kickstart() {
    let url = format!("{BASE}/agent/harmony-inventory-agent");
    let kickstart = InventoryKickstart { agent_url: &url, agent_sha256: SHA256, ssh_keys: &[KEY] };
    assert_snapshot!("inventory.ks", inventory_ks(&kickstart).expect("renders"));
}

#[test]
fn keyfiles_of_a_bond() {
    let files = link_keyfiles(&order().link, order().address).expect("renders");
    let text: Vec<_> = files.iter().map(|file| format!("==> {}\n{}", file.name, file.contents)).collect();
    assert_snapshot!("keyfiles", text.concat());
    for _ in 0..20 {
        assert_eq!(link_keyfiles(&order().link, order().address).expect("renders"), files, "the same every time");
    }
}

#[test]
fn answer_file() {
    let order = order();
    let keyfiles = link_keyfiles(&order.link, order.address).expect("renders");
    let text =
        ignition(&NodeIgnition { hostname: &order.hostname, ssh_keys: &[KEY], keyfiles: &keyfiles }).expect("renders");
    let (_, warnings) = ignition_config::Config::parse_str(&text).expect("is Ignition");
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_snapshot!("config.ign", text);
}
