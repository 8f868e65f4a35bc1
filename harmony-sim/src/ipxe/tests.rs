//! What scripts do, each against a small made-up machine.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What a script did, and how it ended.
struct Run {
    did: Vec<String>,
    end: Option<End>,
    booted: Option<Loaded>,
}

fn facts(platform: Platform) -> Facts {
    Facts {
        platform,
        uuid: "00112233-4455-6677-8899-aabbccddeeff".parse().expect("a UUID"),
        serial: "A B&C".to_owned(),
        manufacturer: "LabCorp".to_owned(),
        product: "SimServer".to_owned(),
        nics: vec![MacAddress::new([0x52, 0x54, 0, 0, 1, 1]), MacAddress::new([0x52, 0x54, 0, 0, 1, 2])],
    }
}

fn kernel() -> Bytes {
    let mut kernel = vec![0; 0x206];
    kernel[0x202..].copy_from_slice(b"HdrS");
    kernel.into()
}

/// Runs a script against a server that has these files; DHCP works on the second NIC only.
fn run_on(platform: Platform, script: &str, files: &[(&str, Bytes)], limit: usize) -> Run {
    let files: BTreeMap<&str, Bytes> = files.iter().cloned().collect();
    let mut ipxe = Ipxe::new(facts(platform), 1);
    ipxe.configure(Lease { nic: 1, address: [10, 0, 0, 9].into(), next_server: None, filename: None });
    let mut action = ipxe.run("http://10.0.0.1/boot.ipxe", script).expect("a script");
    let mut run = Run { did: Vec::new(), end: None, booted: None };
    for _ in 0..limit {
        run.did.extend(ipxe.console().into_iter().map(|line| format!("echo {line}")));
        let (did, answer) = match action {
            Action::Fetch { url, timeout } => {
                let found = files.get(url.as_str()).cloned().ok_or(FetchError::Status(404));
                (format!("fetch {url} {timeout:?}"), Answer::Fetched(found))
            }
            Action::Dhcp(nics) => {
                let lease = nics.contains(&1).then(|| Lease {
                    nic: 1,
                    address: [10, 0, 0, 9].into(),
                    next_server: None,
                    filename: None,
                });
                (format!("dhcp {nics:?}"), Answer::Leased(lease))
            }
            Action::Open(nics) => (format!("open {nics:?}"), Answer::Done),
            Action::Close(nics) => (format!("close {nics:?}"), Answer::Done),
            Action::Sleep(time) => (format!("sleep {time:?}"), Answer::Done),
            Action::SanBoot(drive) => (format!("sanboot {drive:#x}"), Answer::Failed("no disk".to_owned())),
            Action::Boot(loaded) => {
                run.did.push(format!("boot {} {}", loaded.kernel.name, loaded.cmdline.expose()));
                run.booted = Some(loaded);
                return run;
            }
            Action::WaitForKey | Action::Restart | Action::PowerOff => {
                run.did.push(format!("{action:?}"));
                return run;
            }
            Action::End(end) => {
                run.end = Some(end);
                return run;
            }
        };
        run.did.push(did);
        action = ipxe.resume(answer);
    }
    run
}

fn run(script: &str) -> Run {
    run_on(Platform::Pcbios, &format!("#!ipxe\n{script}"), &[], 100)
}

fn echoes(script: &str) -> Vec<String> {
    run(script).did.into_iter().filter_map(|did| did.strip_prefix("echo ").map(str::to_owned)).collect()
}

fn error(script: &str) -> ScriptError {
    match run(script).end {
        Some(End::Failed(error)) => error,
        other => panic!("{script}: {other:?}"),
    }
}

#[test]
fn settings_are_shown_by_their_types() {
    let expand = |text: &str| echoes(&format!("echo {text}")).concat();
    for (text, shown) in [
        ("${uuid}", "00112233-4455-6677-8899-aabbccddeeff"),
        ("${serial}", "A B&C"),
        ("${serial:uristring}", "A%20B%26C"),
        ("${net0/mac} ${netX/mac}", "52:54:00:00:01:01 52:54:00:00:01:02"),
        ("${mac:hexhyp} ${mac:hexraw}", "52-54-00-00-01-02 525400000102"),
        ("${mac:base64}", "UlQAAAEC"),
        ("${netX/ip} ${ip} ${ip:hex}", "10.0.0.9 10.0.0.9 0a:00:00:09"),
        ("${platform}-${buildarch}", "pcbios-i386"),
        ("[${nothing}][${net7/mac}][${mac:nonsense}][${net0/ip}]", "[][][][]"),
        ("${manufacturer} ${product} ${unclosed", "LabCorp SimServer ${unclosed"),
    ] {
        assert_eq!(expand(text), shown, "{text}");
    }
}

#[test]
fn settings_are_set_counted_and_nested() {
    let script = "set n:int32 0\n:next\nset m${n} ${net${n}/mac:hexhyp}\ninc n\niseq ${n} 2 || goto next\n\
        echo ${n} ${m0} ${m1}\nset n\nisset ${n} || echo gone\ninc n 5\necho ${n}\nset x:hex 0a:ff\necho ${x} ${x:int16}";
    assert_eq!(echoes(script), ["2 52-54-00-00-01-01 52-54-00-00-01-02", "gone", "5", "0a:ff 2815"]);
    assert_eq!(error("set n:int8 many").reason, "Could not store \"n\": Invalid argument");
    assert_eq!(error("set net7/x 1").reason, "\"net7/x\": no such setting");
}

#[test]
fn joints_decide_what_follows() {
    assert_eq!(echoes("iseq a b && echo yes || echo no"), ["no"]);
    assert_eq!(echoes("iseq a a && echo yes || echo no"), ["yes"]);
    assert_eq!(echoes("iseq a b || iseq c c && echo both # || echo comment"), ["both"]);
    assert_eq!(echoes("iseq a b ; echo after"), ["after"]);
    assert_eq!(echoes("iseq a b ||\necho after"), ["after"]);
    let error = error("echo a\n\niseq a b && echo yes");
    assert_eq!((error.line, error.command.as_str()), (4, "iseq"));
}

#[test]
fn scripts_end_by_exit_by_failure_or_at_their_end() {
    assert_eq!(run("echo a").end, Some(End::Exit(0)));
    assert_eq!(run("exit 1\necho a").end, Some(End::Exit(1)));
    assert_eq!(run("exit || echo a").end, Some(End::Exit(0)));
    let error = error("kernal http://x/y || echo z\nkernal http://x/y");
    assert_eq!(error.to_string(), "boot.ipxe line 3: `kernal`: command not found");
}

#[test]
fn what_a_command_does_not_take_is_refused() {
    for (line, reason) in [
        ("sleep three", "\"three\": invalid integer value"),
        ("sleep", "it has 0 arguments; see https://ipxe.org/cmd/sleep"),
        ("kernel --tiemout 3 http://x/y", "Unrecognised option \"--tiemout\""),
        ("kernel --timeout", "Option \"--timeout\" requires an argument"),
        ("kernel --timeout x http://x/y", "\"x\": invalid integer value"),
        ("initrd --replace http://x/y", "Unrecognised option \"--replace\""),
        ("goto nowhere", "No such label :nowhere"),
        ("dhcp eth0", "\"eth0\": no such interface"),
        ("boot", "No image selected"),
        ("imgfree nothing", "\"nothing\": no such image"),
        ("menu", "iPXE has this command; it is not simulated"),
        ("sanboot iscsi:x", "booting from a disk in the network is not simulated"),
    ] {
        assert_eq!(error(line).reason, reason, "{line}");
    }
}

#[test]
fn kernels_boot_with_what_is_beside_them() {
    let script = "#!ipxe\nset base http://10.0.0.1/os\nkernel -t 3000 ${base}/vmlinuz initrd=main a=${mac} || goto no\n\
        initrd --name=main initrd.img || goto no\nboot || goto no\n:no\necho no";
    let files = [("http://10.0.0.1/os/vmlinuz", kernel()), ("http://10.0.0.1/initrd.img", Bytes::from_static(b"x"))];
    for platform in [Platform::Pcbios, Platform::Efi] {
        let header = if platform == Platform::Efi { Bytes::from([b"MZ", &kernel()[2..]].concat()) } else { kernel() };
        let run = run_on(platform, script, &[(files[0].0, header), files[1].clone()], 10);
        assert_eq!(
            run.did,
            [
                "fetch http://10.0.0.1/os/vmlinuz Some(3s)",
                "fetch http://10.0.0.1/initrd.img None",
                "boot vmlinuz initrd=main a=52:54:00:00:01:02"
            ]
        );
        let loaded = run.booted.expect("boots");
        let initramfs: Vec<&str> =
            loaded.initramfs(platform).expect("there").iter().map(|image| image.name.as_str()).collect();
        assert_eq!(initramfs, ["main"]);
    }
    // UEFI looks for the name that the command line says.
    let script = script.replace("initrd=main", "initrd=other").replace("vmlinuz", "k");
    let files = [("http://10.0.0.1/os/k", Bytes::from_static(b"MZ")), files[1].clone()];
    let loaded = run_on(Platform::Efi, &script, &files, 10).booted.expect("boots");
    assert!(loaded.initramfs(Platform::Efi).is_none() && loaded.initramfs(Platform::Pcbios).is_some());
}

#[test]
fn what_is_no_kernel_is_not_selected() {
    let files = [("http://10.0.0.1/k", Bytes::from_static(b"<html>404</html>"))];
    let run = run_on(Platform::Pcbios, "#!ipxe\nkernel k", &files, 10);
    let Some(End::Failed(error)) = run.end else { panic!("it fails") };
    assert_eq!(error.to_string(), "boot.ipxe line 2: `kernel`: Could not select: Exec format error");
    let run = run_on(Platform::Pcbios, "#!ipxe\nkernel missing", &files, 10);
    let Some(End::Failed(error)) = run.end else { panic!("it fails") };
    assert_eq!(error.reason, "http://10.0.0.1/missing: No such file or directory (HTTP 404)");
}

#[test]
fn chained_scripts_return_and_replacing_ones_do_not() {
    let files = [
        ("http://10.0.0.1/a", Bytes::from_static(b"#!ipxe\necho a\nexit 1\necho never\n")),
        ("http://10.0.0.1/b", Bytes::from_static(b"#!ipxe\necho b\ntypo\n")),
    ];
    let run = |script: &str| run_on(Platform::Pcbios, script, &files, 10);
    let chained = run("#!ipxe\nchain --autofree a || echo caught\nimgstat a || echo freed");
    let echoed = |run: &Run| run.did.iter().filter(|did| did.starts_with("echo")).cloned().collect::<Vec<_>>();
    assert_eq!(echoed(&chained), ["echo a", "echo caught", "echo freed"]);
    let replaced = run("#!ipxe\nchain --replace --autofree b || echo caught\necho never");
    assert_eq!(echoed(&replaced), ["echo b"]);
    let Some(End::Failed(error)) = replaced.end else { panic!("it fails") };
    assert_eq!(error.to_string(), "b line 3: `typo`: command not found");
    let missing = run("#!ipxe\nchain --replace --autofree c || echo caught");
    assert_eq!(echoed(&missing), ["echo caught"]);
}

#[test]
fn retry_loops_wait_and_endless_ones_are_ended() {
    let waiting = run_on(Platform::Pcbios, "#!ipxe\n:retry\nchain x || sleep 3\ngoto retry", &[], 6);
    assert_eq!(waiting.did.len(), 6);
    assert_eq!(waiting.did[1], "sleep 3s");
    assert_eq!(error(":a\ngoto a").reason, "it goes round and round and waits for nothing");
    assert_eq!(error("set a x\n:a\nset a ${a}${a}\ngoto a").command, "set");
    let deep = [("http://10.0.0.1/self", Bytes::from_static(b"#!ipxe\nchain self"))];
    let Some(End::Failed(error)) = run_on(Platform::Pcbios, "#!ipxe\nchain self", &deep, 100).end else {
        panic!("it fails")
    };
    assert_eq!(error.reason, "Could not boot: Not enough space");
}

#[test]
fn dhcp_opens_what_it_is_told() {
    assert_eq!(run("dhcp net0 || dhcp\necho ${ip}").did, ["dhcp [0]", "dhcp [0, 1]", "echo 10.0.0.9"]);
    assert_eq!(run("ifopen net0\necho ${netX/mac}").did, ["open [0]", "echo 52:54:00:00:01:01"]);
    assert_eq!(run("prompt --timeout 500 Press || echo nobody").did, ["sleep 500ms", "echo nobody"]);
    assert_eq!(run("shell").did, ["WaitForKey"]);
    assert_eq!(run("reboot").did, ["Restart"]);
    assert_eq!(run("sanboot --no-describe --drive 0x80 || exit 1").did, ["sanboot 0x80"]);
}

#[test]
fn what_dhcp_names_must_be_a_script_or_a_kernel() {
    let mut ipxe = Ipxe::new(facts(Platform::Efi), 0);
    let Action::Fetch { url, .. } = ipxe.autoboot("http://10.0.0.1/x") else { panic!("a fetch") };
    assert_eq!(url, "http://10.0.0.1/x");
    let Action::End(End::Failed(error)) = ipxe.resume(Answer::Fetched(Ok(Bytes::from_static(b"nothing")))) else {
        panic!("it fails")
    };
    assert_eq!(error.to_string(), "autoboot line 1: `chain`: Could not boot: Exec format error");
    assert!(Ipxe::new(facts(Platform::Efi), 0).run("http://10.0.0.1/x", "ipxe\necho a").is_err());
}

proptest! {
    /// Scripts come over an open network.
    #[test]
    fn no_script_panics_or_runs_for_ever(
        lines in prop::collection::vec(
            prop_oneof![
                "[a-z]{2,8}( [^\\n]{0,12}){0,3}",
                "(set|inc|clear|isset|show|echo) (\\$\\{|\\}|[a-z0-9:/]){0,12}( \\PC{0,8})?",
                "(chain|kernel|initrd|boot|imgargs|imgfree)( --[a-z]{1,8})?( [a-z]{0,3}){0,3}( (\\|\\||&&|;) [a-z ]{0,9})?",
                "(:|goto )[a-c]",
                "sleep [0-9x]{1,3}|exit [0-9]{0,12}|dhcp( net[0-9X])?",
            ],
            0..20,
        ),
        file in "(#!ipxe\n)?\\PC{0,20}",
    ) {
        let script = format!("#!ipxe\n{}", lines.join("\n"));
        let files = [("http://10.0.0.1/a", Bytes::from(file)), ("http://10.0.0.1/b", kernel())];
        let run = run_on(Platform::Pcbios, &script, &files, 50);
        prop_assert!(run.end.is_some() || !run.did.is_empty());
    }
}
