//! No value adds a line, an expansion or a word to an artefact: it is refused instead.

use harmony_core::capability::{DiskImage, InstallSource};
use harmony_core::secret::Secret;
use harmony_templates::{
    BootChain, DefaultIpxe, InventoryKickstart, Keyfile, LiveEnvironment, NodeIgnition, ScosBoot, TemplateError,
    boot_chain, default_ipxe, ignition, inventory_ks, link_keyfiles, scos_boot,
};
use proptest::prelude::*;

use super::{BASE, KEY, SHA256, initramfs, order, source};

/// What hostile hosts, sites and files would try, alone or around something plausible.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\nreboot\n".to_owned()),
        Just("\r".to_owned()),
        Just("${net0/mac}".to_owned()),
        Just(" || shell".to_owned()),
        Just(" && shell".to_owned()),
        Just("#".to_owned()),
        Just(" ".to_owned()),
        Just("\"; rm -rf /; \"".to_owned()),
        Just("' $(id) '".to_owned()),
        Just("\n%end\nclearpart --all\n".to_owned()),
        Just("\\".to_owned()),
        Just("\u{2028}".to_owned()),
        Just("\0".to_owned()),
        Just("http://10.0.0.9/x".to_owned()),
        Just("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA".to_owned()),
        Just("/dev/vda".to_owned()),
        Just("eno1".to_owned()),
        "[a-z0-9./:=-]{1,12}",
        "\\PC{0,6}",
    ];
    proptest::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

/// Lines, expansions, and words of the longest line: what decides what a script does.
fn shape(text: &str) -> (usize, usize, usize) {
    let words = text.lines().map(|line| line.split_whitespace().count()).max();
    (text.split(['\n', '\r', '\u{2028}']).count(), text.matches("${").count(), words.unwrap_or(0))
}

/// The benign rendering's shape is what a hostile one must have, where it is rendered at all.
fn same_shape(
    benign: Result<String, TemplateError>,
    hostile: Result<String, TemplateError>,
) -> Result<(), TestCaseError> {
    let benign = benign.expect("the benign value renders");
    match hostile {
        Ok(text) => {
            prop_assert_eq!(shape(&text), shape(&benign), "{}", text);
            prop_assert!(text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "{}", text);
        }
        Err(TemplateError::Value { value, .. }) => prop_assert!(!value.contains('\n'), "{}", value),
        Err(TemplateError::CommandLineTooLong { .. }) => {}
        Err(error) => return Err(TestCaseError::fail(format!("not a refusal: {error:?}"))),
    }
    Ok(())
}

fn image(source: &mut InstallSource) -> &mut DiskImage {
    source.image.as_mut().expect("an image")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn boot_chain_keeps_its_shape(text in hostile()) {
        let url = format!("{BASE}{text}");
        same_shape(boot_chain(&BootChain { base_url: BASE }), boot_chain(&BootChain { base_url: &url }))?;
        same_shape(boot_chain(&BootChain { base_url: BASE }), boot_chain(&BootChain { base_url: &text }))?;
    }

    #[test]
    fn default_script_keeps_its_shape(text in hostile(), field in 0..6) {
        let render = |field: i32, value: &str| {
            let pick = |number, benign: &str| if field == number { value.to_owned() } else { benign.to_owned() };
            let environment = if field == 5 {
                LiveEnvironment::Anaconda { tree: value.to_owned() }
            } else {
                LiveEnvironment::Initramfs { kernel: pick(0, "k"), initrd: pick(1, "i") }
            };
            let (base_url, token, extra_args) = (pick(2, BASE), Secret::new(pick(3, "t")), [pick(4, "a=b")]);
            default_ipxe(&DefaultIpxe { base_url: &base_url, environment: &environment, agent_token: Some(&token), extra_args: &extra_args, notice: None })
        };
        same_shape(render(field, if field == 2 { BASE } else { "x" }), render(field, &text))?;
    }

    #[test]
    fn a_notice_stays_in_its_line(text in hostile()) {
        let render = |notice| default_ipxe(&DefaultIpxe { base_url: BASE, environment: &initramfs(), agent_token: None, extra_args: &[], notice: Some(notice) });
        if let Ok(script) = render(&text) {
            let benign = render("x").expect("renders");
            prop_assert_eq!((script.lines().count(), script.matches("${").count()), (benign.lines().count(), benign.matches("${").count()));
            prop_assert!(!script.contains("||shell") && !text.contains("||"));
        }
    }

    #[test]
    fn install_script_keeps_its_shape(text in hostile(), field in 0..11) {
        let render = |value: &str| {
            let (mut order, mut source) = (order(), source());
            source.rootfs = Some("/os/rootfs".into());
            match field {
                0 => order.disk_serial = value.to_owned(),
                1 => order.disk_path = value.to_owned(),
                2 => order.link.name = value.to_owned(),
                3 => order.link.members[1].0 = value.to_owned(),
                4 => source.kernel = value.to_owned(),
                5 => source.initrd = value.to_owned(),
                6 => source.rootfs = Some(value.to_owned()),
                7 => image(&mut source).path = value.to_owned(),
                8 => image(&mut source).sha256 = value.to_owned(),
                9 => source.args = vec![value.to_owned()],
                _ => order.disk_path = format!("/dev/{value}"),
            }
            scos_boot(&ScosBoot { order: &order, source: &source })
        };
        same_shape(render(match field { 1 => "/dev/vda", 8 => SHA256, _ => "x" }), render(&text))?;
    }

    #[test]
    fn kickstart_keeps_its_shape(text in hostile(), field in 0..3) {
        let render = |value: &str| {
            let pick = |number, benign| if field == number { value.to_owned() } else { String::from(benign) };
            let (agent_url, agent_sha256, key) = (pick(0, BASE), pick(1, SHA256), pick(2, KEY));
            inventory_ks(&InventoryKickstart { agent_url: &agent_url, agent_sha256: &agent_sha256, ssh_keys: &[&key] })
        };
        let lines = |text: &str| (text.lines().count(), text.matches(['"', '\'']).count(), text.matches('$').count(), text.matches("\n%").count());
        let benign = render([BASE, SHA256, KEY][field as usize]).expect("renders");
        if let Ok(text) = render(&text) {
            prop_assert_eq!(lines(&text), lines(&benign), "{}", text);
        }
    }

    #[test]
    fn keyfiles_and_answer_file_hold_what_they_were_given(text in hostile()) {
        let mut bond = order().link;
        bond.members[1].0.clone_from(&text);
        if let Ok(files) = link_keyfiles(&bond, order().address) {
            let sections = |files: &[Keyfile]| files.iter().map(|file| file.contents.lines().count()).collect::<Vec<_>>();
            let mut got = sections(&files);
            let mut want = sections(&link_keyfiles(&order().link, order().address).expect("renders"));
            got.sort_unstable();
            want.sort_unstable();
            prop_assert_eq!(got, want);
        }
        let keyfiles = [Keyfile { name: "x.nmconnection".into(), contents: text.clone() }];
        let json = ignition(&NodeIgnition { hostname: &order().hostname, ssh_keys: &[KEY], keyfiles: &keyfiles }).expect("any contents will do");
        let json: serde_json::Value = serde_json::from_str(&json).expect("is JSON");
        let source = json["storage"]["files"][1]["contents"]["source"].as_str().expect("a source");
        prop_assert_eq!(percent_encoding::percent_decode_str(&source["data:,".len()..]).decode_utf8_lossy(), text.as_str());
        let file = [Keyfile { name: text.clone(), contents: String::new() }];
        if ignition(&NodeIgnition { hostname: &order().hostname, ssh_keys: &[], keyfiles: &file }).is_ok() {
            prop_assert!(!text.contains(['/', '\n']));
        }
    }
}

#[test]
fn a_host_name_with_a_newline_or_an_expansion_never_becomes_one() {
    for name in ["a\nreboot", "a${uuid}", "a b"] {
        assert!(name.parse::<harmony_core::net::Hostname>().is_err(), "{name}");
    }
    let mut order = order();
    order.disk_path = "/dev/${serial}".into();
    let error = scos_boot(&ScosBoot { order: &order, source: &source() }).expect_err("refused");
    assert!(matches!(&error, TemplateError::Value { field, .. } if field == "disk_path"), "{error}");
    let mut source = source();
    source.kernel = "http://x/${uuid}\nshell".into();
    let error = scos_boot(&ScosBoot { order: &super::order(), source: &source }).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "`kernel` is refused: `http://x/${uuid}\\nshell` has `$`, which a script would not take as it is"
    );
}
