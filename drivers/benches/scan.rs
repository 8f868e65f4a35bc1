//! Time of a scan of 65,536 loopback addresses with 200 listeners among them, beside `nmap` in the same run.
//!
//! `cargo bench -p harmony-drivers --bench scan`, or `cargo test … --bench scan` without a release build.
//! Fails when the scan misses a listener, has more than 1,024 sockets open, or takes more than 1.2 times as
//! long as `nmap`; and where there is no `nmap` to compare with.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use harmony_drivers::host::scan::{Limits, MAX_SOCKETS, open_addresses};

const ROUNDS: usize = 5;
const LISTENERS: usize = 200;
const MAX_RATIO: f64 = 1.2;
const NETWORK: Ipv4Addr = Ipv4Addr::new(127, 66, 0, 0);

fn main() -> ExitCode {
    let listeners = listeners();
    let expected: BTreeSet<SocketAddr> = listeners.iter().filter_map(|one| one.local_addr().ok()).collect();
    let port = expected.first().expect("listeners").port();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // In turn, so that whatever else the machine does falls on both.
    for _ in 0..ROUNDS {
        let targets = (0..1 << 16).map(|n| IpAddr::from(Ipv4Addr::from(NETWORK.to_bits() + n)));
        let start = Instant::now();
        let scan = runtime.block_on(open_addresses(targets, port, Limits::default())).expect("scans");
        ours.push(start.elapsed());
        assert!(scan.peak_sockets <= MAX_SOCKETS, "{} sockets were open", scan.peak_sockets);
        assert_eq!(scan.open.iter().copied().collect::<BTreeSet<_>>(), expected, "what was found is on the left");
        let start = Instant::now();
        let found = nmap(port);
        theirs.push(start.elapsed());
        println!(
            "ours {:.3?}: {} found, at most {} sockets; nmap {:.3?}: {found} found",
            ours.last().expect("a round"),
            scan.open.len(),
            scan.peak_sockets,
            theirs.last().expect("a round")
        );
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    println!("medians of {ROUNDS}: ours {ours:.3?}, nmap {theirs:.3?}, ratio {ratio:.2} (at most {MAX_RATIO})");
    if ratio <= MAX_RATIO { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Listeners on one port of addresses strewn over the network.
fn listeners() -> Vec<TcpListener> {
    let strewn = |n: u32| Ipv4Addr::from(NETWORK.to_bits() + (n.wrapping_mul(40_503) & 0xffff));
    for _ in 0..20 {
        let first = TcpListener::bind((strewn(0), 0)).expect("binds");
        let port = first.local_addr().expect("an address").port();
        let others = (1..LISTENERS as u32).map(|n| TcpListener::bind((strewn(n), port)));
        // Somebody may hold that port on all addresses: then another.
        if let Ok(all) = std::iter::once(Ok(first)).chain(others).collect() {
            return all;
        }
    }
    panic!("no port is free on {LISTENERS} addresses");
}

fn nmap(port: u16) -> usize {
    let output = Command::new("nmap")
        .args(["-n", "-Pn", "-sT", "-T5", "--min-rate", "50000", "--open", "-oG", "-", "-p"])
        .args([port.to_string(), format!("{NETWORK}/16")])
        .output()
        .unwrap_or_else(|error| panic!("cannot run nmap (Debian package nmap): {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).matches("/open/").count()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
