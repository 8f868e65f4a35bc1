//! `ssh` against OpenSSH's server on a loopback port. Every command goes through a forced command of
//! ours, which never restarts anything.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use harmony_core::capability::{HostControl, HostTarget, LoginStage};
use harmony_core::error::{FailureKind, chain};
use harmony_core::host::HostId;
use harmony_drivers::host::ssh::Ssh;

use crate::parts::ssh::Server;
use crate::world::free_port;

fn target(stage: LoginStage) -> HostTarget {
    HostTarget { host: HostId::derive("ssh", 0), address: IpAddr::V4(Ipv4Addr::LOCALHOST), stage }
}

fn installed() -> HostTarget {
    target(LoginStage::Installed { order: 1 })
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_command_s_status_and_output_come_back() {
    let server = Server::new().await;
    let ssh = server.ssh();
    let output = ssh.run(&target(LoginStage::Live), "echo out; echo err >&2; exit 7", MINUTE).await.expect("ran");
    assert_eq!((output.status, output.stdout.as_str(), output.stderr.as_str()), (Some(7), "out\n", "err\n"));
    let output =
        ssh.run(&installed(), "head -c 3000000 /dev/zero; head -c 100000 /dev/zero >&2", MINUTE).await.expect("ran");
    assert_eq!(
        (output.status, output.stdout.len(), output.stderr.len()),
        (Some(0), 1 << 20, 64 << 10),
        "cut to the limits"
    );
    server.mode("drop");
    let output = ssh.run(&installed(), "true", MINUTE).await.expect("sent");
    assert_eq!(output.status, None, "the connection ended first");
    assert!(server.writes.entries().is_empty(), "only restarts are known to be changes");
}

#[tokio::test]
async fn a_command_that_does_not_end_is_given_up() {
    let server = Server::new().await;
    let start = Instant::now();
    let error =
        server.ssh().run(&installed(), "cat - # secret-argument", Duration::from_secs(1)).await.expect_err("too long");
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert_eq!(error.kind(), FailureKind::Unreachable);
    let host = installed().host;
    assert_eq!(
        chain(&error),
        format!("failed to run `cat` on host {host} at 127.0.0.1: the command took longer than 1 s")
    );
}

#[tokio::test]
async fn an_installed_system_is_pinned_and_a_live_one_is_not() {
    let mut server = Server::new().await;
    let ssh = server.ssh();
    for stage in [installed(), target(LoginStage::Live)] {
        ssh.run(&stage, "true", MINUTE).await.expect("first sight");
        ssh.run(&stage, "true", MINUTE).await.expect("the same key");
    }
    let known = std::fs::read_to_string(server.file("known_hosts")).expect("kept");
    server.reinstall().await;
    let count = server.commands().len();
    let error = server.ssh().run(&installed(), "true", MINUTE).await.expect_err("another key");
    assert_eq!((error.kind(), server.commands().len()), (FailureKind::Rejected, count), "nothing was sent");
    let text = chain(&error);
    let fingerprints: Vec<&str> = text.matches("SHA256:").collect();
    assert_eq!(fingerprints.len(), 2, "{text}");
    let hint = error.hint_text().expect("a hint");
    assert!(hint.contains("known_hosts") && hint.contains("harmony host forget-key"), "{hint}");
    ssh.reboot(&installed()).await.expect_err("nor restarted");
    assert_eq!(std::fs::read_to_string(server.file("known_hosts")).expect("kept"), known, "the pin stays");

    ssh.run(&target(LoginStage::Live), "true", MINUTE).await.expect("each boot has keys of its own");
    ssh.run(&target(LoginStage::Installed { order: 2 }), "true", MINUTE).await.expect("a new order, a new system");
    let forgotten = Ssh::forget_host_keys(server.folder.path(), &installed().host).expect("written");
    assert_eq!(forgotten, 3, "two installed systems and the live one");
    ssh.run(&installed(), "true", MINUTE).await.expect("first sight again");
    assert!(server.writes.entries().is_empty());
}

#[tokio::test]
async fn a_restart_succeeds_when_the_connection_drops_or_falls_silent() {
    let server = Server::new().await;
    let ssh = server.ssh();
    server.mode("drop");
    ssh.reboot(&target(LoginStage::Live)).await.expect("dropped");
    ssh.reboot(&installed()).await.expect("dropped");
    server.mode("accept");
    ssh.reboot(&installed()).await.expect("accepted");
    let sent = server.commands();
    assert_eq!(sent[0], "(sleep 1; reboot -f || systemctl reboot) >/dev/null 2>&1 &");
    assert!(sent[1].contains("sudo -n systemctl reboot"), "{sent:?}");
    assert_eq!(server.writes.counts()["ssh"], 3);
    server.mode("silence");
    let start = Instant::now();
    ssh.reboot(&installed()).await.expect("as a machine does that is reset");
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_refused_restart_says_why() {
    let server = Server::new().await;
    server.mode("refuse");
    let error = server.ssh().reboot(&installed()).await.expect_err("refused");
    assert_eq!(error.kind(), FailureKind::Rejected);
    assert!(chain(&error).ends_with("ended with 1: sudo: a password is required"), "{}", chain(&error));
    assert!(error.hint_text().expect("a hint").contains("without a password"));
}

#[tokio::test]
async fn each_way_not_to_get_in_is_told_apart() {
    let server = Server::new().await;
    let host = installed().host;
    let other = server.ssh_with(|spec| spec.key_file = server.file("other"));
    let error = other.run(&installed(), "true", MINUTE).await.expect_err("a foreign key");
    assert_eq!(error.kind(), FailureKind::Rejected);
    assert!(chain(&error).contains("user `root` may not log in with key SHA256:"), "{}", chain(&error));
    let hint = error.hint_text().expect("a hint");
    assert_eq!(
        hint,
        format!(
            "put the public key of {} into `authorized_keys` of `root` on host {host}",
            server.file("other").display()
        )
    );
    assert!(!server.file("known_hosts").exists(), "who lets nobody in is not pinned");

    let closed = free_port();
    let error =
        server.ssh_with(|spec| spec.port = closed).run(&installed(), "true", MINUTE).await.expect_err("nobody listens");
    assert_eq!(error.kind(), FailureKind::Unreachable);
    assert!(
        chain(&error).contains(&format!("no TCP connection to 127.0.0.1:{closed}: Connection refused")),
        "{}",
        chain(&error)
    );

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    let banner = async {
        let (mut stream, _) = listener.accept().await.expect("a client");
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("written");
    };
    let (http, target) = (server.ssh_with(|spec| spec.port = port), installed());
    let (result, ()) = tokio::join!(http.run(&target, "true", MINUTE), banner);
    let error = result.expect_err("no SSH");
    assert_eq!(error.kind(), FailureKind::Unreachable, "{}", chain(&error));
    assert!(error.hint_text().expect("a hint").contains("is it an SSH server"), "{error:?}");
}
