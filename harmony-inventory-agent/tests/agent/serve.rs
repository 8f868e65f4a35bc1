//! The program as others see it: HTTP, token, announcement, `--once`, errors.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use harmony_core::report::{parse, parse_announcement};

use crate::program::Agent;
use crate::tree::{Tree, check};

const PROGRAM: &str = env!("CARGO_BIN_EXE_harmony-inventory-agent");

fn run(args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).output().expect("runs")
}

fn start(tree: &Tree) -> Agent {
    Agent::start(Path::new(PROGRAM), &["--root", tree.path().to_str().expect("text")])
}

#[test]
fn answers_the_report_and_that_it_lives() {
    let tree = Tree::recorded("virtio");
    let agent = start(&tree);
    let answer = agent.get("/", "");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
    assert!(answer.head.contains("cache-control: no-store"), "{}", answer.head);
    let report = parse(&answer.body).expect("a report");
    check(&report);
    assert_eq!(report.system.serial.as_deref(), Some("SN-vm"));
    let health = agent.get("/healthz", "");
    assert_eq!((health.status, &*health.body), (200, &b"ok\n"[..]));
    assert_eq!(agent.get("/../etc/passwd", "").status, 404);
}

#[test]
fn with_a_token_it_answers_only_those_who_present_it() {
    // Its command line says harmony.token=not-to-be-shown.
    let tree = Tree::recorded("server");
    let agent = start(&tree);
    let refused = agent.get("/", "");
    assert_eq!(refused.status, 401);
    assert!(refused.head.contains("www-authenticate: Bearer"), "{}", refused.head);
    assert_eq!(agent.get("/", "Authorization: Bearer not-to-be-show").status, 401);
    assert_eq!(agent.get("/healthz", "").status, 200);
    let answer = agent.get("/", "Authorization: Bearer not-to-be-shown");
    assert_eq!(answer.status, 200);
    assert!(!String::from_utf8(answer.body).expect("text").contains("not-to-be-shown"));
}

#[test]
fn announces_itself_where_the_command_line_says() {
    let server = TcpListener::bind("127.0.0.1:0").expect("binds");
    let tree = Tree::recorded("virtio");
    let url = format!("http://{}/announce/v1", server.local_addr().expect("address"));
    tree.write("proc/cmdline", format!("quiet harmony.announce={url}\n").as_bytes());
    let agent = start(&tree);
    let mut request = String::new();
    for answer in ["HTTP/1.1 503 Service Unavailable\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"] {
        let (mut stream, _) = server.accept().expect("a connection");
        request.clear();
        while !request.ends_with('}') {
            let mut bytes = [0; 1024];
            let length = stream.read(&mut bytes).expect("reads");
            assert!(length > 0, "ended early: {request}");
            request.push_str(std::str::from_utf8(&bytes[..length]).expect("text"));
        }
        stream.write_all(answer.as_bytes()).expect("writes");
    }
    let (head, body) = request.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("POST /announce/v1 HTTP/1.1\r\n") && !head.contains("Authorization"), "{head}");
    let announcement = parse_announcement(body.as_bytes()).expect("an announcement");
    assert_eq!(announcement.macs, ["52:54:00:bb:00:00", "52:54:00:bb:00:01"]);
    assert_eq!(announcement.uuid.as_deref(), Some("11223344-5566-7788-99aa-bbccddeeff00"));
    assert_eq!(announcement.listen, agent.address);
}

#[test]
fn prints_one_report() {
    let tree = Tree::recorded("virtio");
    let output = run(&["--once", "--root", tree.path().to_str().expect("text")]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert_eq!(parse(&output.stdout).expect("a report").nics.len(), 2);
}

#[test]
fn says_what_is_wrong_and_what_to_do() {
    let output = run(&["--port"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(
        said,
        "error: `--port` is no option of this program\nhint: `harmony-inventory-agent --help` lists the options\n"
    );
    let taken = TcpListener::bind("127.0.0.1:0").expect("binds").local_addr().expect("address");
    let holder = TcpListener::bind(taken).expect("binds");
    let output = run(&["--listen", &taken.to_string()]);
    drop(holder);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(said, format!("error: cannot listen on {taken}\n  caused by: Address already in use (os error 98)\n"));
    let help = run(&["--help"]);
    assert!(help.status.success() && String::from_utf8(help.stdout).expect("text").contains("Examples:"));
}
