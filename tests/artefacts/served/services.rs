//! Services: each configuration by the program that would be started with it.

use std::process::Command;

use super::{HOSTS, Made};

/// Fails unless the program says that it could use the file.
fn judged(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("no {program} ({error}): run `cargo xtask setup`"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn haproxy_takes_the_configuration_of_each_phase() {
    let made = Made::new();
    let files = made.ending_in(".cfg");
    assert!(files.contains("haproxy.cfg") && files.len() == 4, "{files:?}");
    for name in files {
        judged("haproxy", &["-c", "-f", &made.path(&name).to_string_lossy()]);
    }
    let first = made.text("haproxy.cfg");
    for port in [6443, 22623, 443, 80] {
        assert!(first.lines().any(|line| line.trim().starts_with("bind ") && line.ends_with(&format!(":{port}"))));
    }
    assert!(first.contains("server bootstrap 10.10.0.10:22623 "));
    let last = made.text("haproxy-settled.cfg");
    assert!(!last.contains("bootstrap") && last.contains("server worker-1 10.10.0.22:443 "));
}

#[test]
fn dnsmasq_takes_both_configurations_and_they_have_every_host() {
    let made = Made::new();
    let files = made.ending_in(".conf");
    assert!(files.iter().all(|name| name.starts_with("dnsmasq")), "{files:?}");
    for name in files {
        judged("dnsmasq", &["--test", &format!("--conf-file={}", made.path(&name).display())]);
    }
    let (dhcp, dns) = (made.text("dnsmasq-dhcp.conf"), made.text("dnsmasq-dns.conf"));
    assert!(dns.contains("\naddress=/apps.ocp4.example.com/10.10.0.6\n"), "the wildcard");
    for (host, address) in HOSTS.iter().zip(["10", "11", "12", "13", "21", "22"]) {
        let name = format!("{host}.ocp4.example.com");
        assert!(dhcp.lines().any(|line| line.ends_with(&format!(",10.10.0.{address},{name}"))), "{dhcp}");
        assert!(dns.contains(&format!("\nhost-record={name},10.10.0.{address}\n")), "{dns}");
        assert!(dns.contains(&format!("\nptr-record={address}.0.10.10.in-addr.arpa,{name}\n")), "{dns}");
    }
    assert!(!made.text("dnsmasq-dns-workers-join.conf").contains("bootstrap"));
}
