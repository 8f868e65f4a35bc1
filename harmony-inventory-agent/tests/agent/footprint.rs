//! The agent runs in RAM on machines that may have little: at most 1.6 MB of program and 4 MB of memory; and
//! it is asked often: a report takes at most a tenth of the time of `lshw -json`.
//!
//! Measured on the program that is shipped, which this test builds (a no-op where that has been done).

use std::path::PathBuf;
use std::process::Command;

use crate::program::{Agent, beside_lshw};

const MAX_PROGRAM_BYTES: u64 = 1_600_000;
const MAX_MEMORY_BYTES: u64 = 4_000_000;
const TARGET: &str = "x86_64-unknown-linux-musl";

/// The static program, built if it is not there.
fn program() -> PathBuf {
    let build = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "-p", "harmony-inventory-agent", "--profile", "agent", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        build.status.success(),
        "{}\nhint: `rustup target add {TARGET}` adds the target",
        String::from_utf8_lossy(&build.stderr)
    );
    let messages = String::from_utf8(build.stdout).expect("text");
    let messages = messages.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let program = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
    program.expect("cargo names the program")
}

#[test]
fn program_memory_and_time_stay_small() {
    let program = program();
    let size = program.metadata().expect("the program").len();
    assert!(size <= MAX_PROGRAM_BYTES, "the program has {size} bytes, more than {MAX_PROGRAM_BYTES}");
    let agent = Agent::start(&program, &[]);
    for _ in 0..100 {
        assert_eq!(agent.get("/", "").status, 200);
    }
    let memory = agent.peak_memory_bytes();
    assert!(memory <= MAX_MEMORY_BYTES, "VmHWM is {memory} bytes after 100 requests, more than {MAX_MEMORY_BYTES}");
    let (ours, lshw) = beside_lshw(&agent, 7);
    assert!(ours * 10 <= lshw, "a report takes {ours:?}, more than a tenth of the {lshw:?} of lshw -json");
    println!("{size} bytes of program, {memory} bytes of memory at most after 100 requests, {ours:?} (lshw {lshw:?})");
}
