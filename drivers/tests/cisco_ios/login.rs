//! Who is let in, and what is said to those who are not.

use harmony_core::capability::Switch;
use harmony_core::error::{DeviceError, FailureKind, chain};
use harmony_sim::wire::{CiscoIosFront, Personality};
use harmony_sim::{Fault, World};

use crate::rack::{Rack, lag, ports, spec, until};

/// Everything that an error says.
fn said(error: &DeviceError) -> String {
    format!("{} | {} | {:?} | {error:?}", chain(error), error.hint_text().unwrap_or_default(), error.evidence_lines())
}

fn shows_no_password(rack: &Rack, error: &DeviceError) {
    let written = format!("{:?}", rack.writes.entries());
    for secret in [CiscoIosFront::PASSWORD, CiscoIosFront::ENABLE, "a wrong one"] {
        assert!(!said(error).contains(secret) && !written.contains(secret), "{}", said(error));
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_by_where_it_is() {
    let rack = Rack::new().await;
    rack.write("login", "a wrong one");
    let error = rack.switch().get_port_status(&[]).await.expect_err("refused");
    assert_eq!(error.kind(), FailureKind::Rejected);
    assert_eq!(
        chain(&error),
        "failed to read the ports of switch `tor`: user `harmony` may not log in with this password"
    );
    assert!(error.hint_text().expect("a hint").contains("login"), "{}", said(&error));
    shows_no_password(&rack, &error);

    rack.write("login", CiscoIosFront::PASSWORD);
    let refused = rack.world.inject(Fault::LoginRefused { device: "switch/tor".to_owned(), times: 1 });
    let switch = rack.switch();
    assert_eq!(switch.get_port_status(&[]).await.expect_err("refused once").kind(), FailureKind::Rejected);
    assert_eq!(refused.fired(), 1);
    switch.get_port_status(&[]).await.expect("let in");
    std::fs::remove_file(rack.folder.path().join("login")).expect("removed");
    switch.get_port_status(&[]).await.expect("the session that is there needs no password");
    let error = rack.switch().get_port_status(&[]).await.expect_err("a new one does");
    assert!(chain(&error).contains("failed to read the password file"), "{}", said(&error));
}

#[tokio::test]
async fn enable_has_a_password_of_its_own() {
    let rack = Rack::new().await;
    rack.write("enable", "a wrong one");
    let error = rack.switch().get_port_status(&[]).await.expect_err("refused");
    assert_eq!(error.kind(), FailureKind::Rejected);
    assert!(chain(&error).ends_with("the device refuses `enable` with this password"), "{}", said(&error));
    assert!(error.hint_text().expect("a hint").contains("enable"), "{}", said(&error));
    shows_no_password(&rack, &error);
    let error = rack.switch_with(|spec| spec.enable_password = None).get_port_status(&[]).await.expect_err("not given");
    assert!(error.hint_text().expect("a hint").contains("privilege level 15"), "{}", said(&error));

    let privileged = Rack::with(Personality { privileged: true, ..Personality::default() }).await;
    privileged.switch_with(|spec| spec.enable_password = None).get_port_status(&[]).await.expect("needs no enable");
    let interactive = Rack::with(Personality { keyboard_interactive: true, ..Personality::default() }).await;
    interactive.switch().get_port_status(&[]).await.expect("let in");
    interactive.write("login", "a wrong one");
    interactive.switch().get_port_status(&[]).await.expect_err("refused");
}

#[tokio::test]
async fn a_switch_without_a_free_line_says_so() {
    let rack = Rack::with(Personality { lines: 1, ..Personality::default() }).await;
    let first = rack.switch();
    first.get_port_status(&[]).await.expect("the one line");
    first.get_port_status(&[]).await.expect("the same session");
    let second = rack.switch();
    let error = second.get_port_status(&[]).await.expect_err("no line");
    assert_eq!(error.kind(), FailureKind::Transient);
    assert!(chain(&error).contains("the device takes no further session: % Connection refused"), "{}", said(&error));
    assert!(error.hint_text().expect("a hint").contains("show users"), "{}", said(&error));
    drop(first);
    until("the line is free", async || second.get_port_status(&[]).await.ok()).await;
}

#[tokio::test]
async fn a_session_that_was_cut_is_opened_again() {
    let rack = Rack::new().await;
    let switch = rack.switch();
    let cut = Fault::Write { device: "switch/tor".to_owned(), nth: 1, how: harmony_sim::WriteFault::FailBefore };
    let fault = rack.world.inject(cut);
    switch.set_ports_lacp_mode(&lag("a", ["Gi1/0/1", "Gi1/0/2"])).await.expect_err("cut");
    drop(fault);
    let status = switch.get_port_status(&ports(["Gi1/0/1"])).await.expect("a new session");
    assert_eq!(status[0].mode.to_string(), "access VLAN 10");
}

#[tokio::test]
async fn another_host_key_is_refused() {
    let rack = Rack::new().await;
    rack.switch().get_port_status(&[]).await.expect("pinned");
    let pins = std::fs::read_to_string(rack.folder.path().join("known_hosts")).expect("kept");
    assert!(pins.starts_with("switch tor ssh-ed25519 "), "{pins}");

    let mut other = spec();
    other.switches[0].name = "leaf".to_owned();
    other.hosts.clear();
    let world = World::new(other).expect("valid");
    let front =
        CiscoIosFront::start(&world, "leaf".parse().expect("valid"), Personality::default()).await.expect("listens");
    let port = front.address().port();
    let error = rack.switch_with(|spec| spec.port = port).get_port_status(&[]).await.expect_err("another switch");
    assert_eq!(error.kind(), FailureKind::Rejected);
    assert!(chain(&error).contains("the host key is SHA256:"), "{}", said(&error));
    assert!(error.hint_text().expect("a hint").contains("remove the line `switch tor`"), "{}", said(&error));
    shows_no_password(&rack, &error);
}

#[tokio::test]
async fn a_switch_that_is_not_there() {
    let rack = Rack::new().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("free");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let error = rack.switch_with(|spec| spec.port = port).get_port_status(&[]).await.expect_err("nobody");
    assert_eq!(error.kind(), FailureKind::Unreachable);
    assert!(error.hint_text().expect("a hint").contains(&format!("127.0.0.1, port {port}")), "{}", said(&error));
}

#[tokio::test]
async fn what_is_verified_can_be_saved() {
    let rack = Rack::new().await;
    let switch = rack.switch_with(|spec| spec.save = true);
    switch.set_ports_lacp_mode(&lag("a", ["Gi1/0/1", "Gi1/0/2"])).await.expect("bundled and saved");
    assert!(rack.writes.entries()[0].command.ends_with("end; configure confirm; write memory"));
}
