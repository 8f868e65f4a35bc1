//! Running the program, and asking it as a client does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running agent; killed when dropped.
pub(crate) struct Agent {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// An answer: status, head, body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Agent {
    /// Starts it on a free port of the loopback and waits until it listens.
    pub(crate) fn start(program: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(["--listen", "127.0.0.1:0"])
            .args(args)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let line = lines.next().expect("a line").expect("text");
        let address =
            line.strip_prefix("listening on http://").and_then(|rest| rest.trim_end_matches('/').parse().ok());
        let address = address.unwrap_or_else(|| panic!("it says: {line}"));
        // What it says later must not stop it when the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    pub(crate) fn get(&self, path: &str, header: &str) -> Answer {
        get(self.address, path, header)
    }

    /// Most resident memory so far, in bytes.
    pub(crate) fn peak_memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Times of one report, from the start of the request to its last byte, and of `lshw -json`: medians of so
/// many rounds, in turn, so that whatever else the machine does falls on both.
pub(crate) fn beside_lshw(agent: &Agent, rounds: usize) -> (Duration, Duration) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = Instant::now();
        assert_eq!(agent.get("/", "").status, 200);
        ours.push(start.elapsed());
        let start = Instant::now();
        let lshw = Command::new("lshw").arg("-json").stdout(Stdio::null()).stderr(Stdio::null()).status();
        let lshw = lshw.unwrap_or_else(|error| panic!("cannot run lshw (Debian package lshw): {error}"));
        theirs.push(start.elapsed());
        assert!(lshw.success(), "lshw: {lshw}");
    }
    ours.sort();
    theirs.sort();
    (ours[rounds / 2], theirs[rounds / 2])
}

/// One request on a connection of its own. `header` is empty or a whole line.
pub(crate) fn get(address: SocketAddr, path: &str, header: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out");
    let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
    let request = format!("GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).expect("writes");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("reads");
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(answer[..end].to_vec()).expect("text");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head, body: answer[end + 4..].to_vec() }
}
