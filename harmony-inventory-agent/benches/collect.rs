//! Time of one report, from the start of the request to its last byte, beside `lshw -json` in the same run.
//!
//! `cargo bench -p harmony-inventory-agent --bench collect`. Fails when a report takes more than a tenth of
//! the time of `lshw`. The test `footprint` asks the same of the program that is shipped.

#[path = "../tests/agent/program.rs"]
mod program;

use std::path::Path;
use std::process::ExitCode;

use program::{Agent, beside_lshw};

const ROUNDS: usize = 15;
const MAX_RATIO: f64 = 0.1;

fn main() -> ExitCode {
    let agent = Agent::start(Path::new(env!("CARGO_BIN_EXE_harmony-inventory-agent")), &[]);
    let answer = agent.get("/", "");
    let (ours, theirs) = beside_lshw(&agent, ROUNDS);
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    println!(
        "one report over HTTP: {ours:.1?} ({} bytes); lshw -json: {theirs:.1?}; medians of {ROUNDS}",
        answer.body.len()
    );
    println!(
        "ratio {ratio:.3} (at most {MAX_RATIO}); {}; peak memory {} bytes",
        answer.head.lines().next().unwrap_or_default(),
        agent.peak_memory_bytes()
    );
    if ratio <= MAX_RATIO { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
