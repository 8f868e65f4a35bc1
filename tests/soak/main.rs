//! `cargo xtask soak`: one random seed after the other, on every core, until time is up or one fails.
//!
//! With `--seed`, replays that one, twice, and prints what happened.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use harmony_tests::{Chance, alone, for_each, soak};

const USAGE: &str = "usage: cargo xtask soak --seconds N | --seed S";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["--seconds", seconds] => {
            seconds.parse().map_or_else(|_| usage(), |seconds| search(Duration::from_secs(seconds)))
        }
        ["--seed", seed] => seed.parse().map_or_else(|_| usage(), replay),
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

/// How long one seed may take before it is told of: it may never end.
const SLOW: Duration = Duration::from_secs(30);

fn search(time: Duration) -> ExitCode {
    let until = Instant::now() + time;
    let mut chance = Chance::of(RandomState::new().build_hasher().finish());
    let (passed, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let goes_on = || Instant::now() < until && failed.load(Ordering::Relaxed) == 0;
    let seeds = std::iter::from_fn(|| goes_on().then(|| chance.throw()));
    for_each(seeds, async |seed| {
        let (over, waits) = mpsc::channel::<()>();
        thread::spawn(move || {
            if waits.recv_timeout(SLOW) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!("seed {seed} is not through after {} s", SLOW.as_secs());
            }
        });
        match soak::live_through(seed).await {
            Ok(_) => passed.fetch_add(1, Ordering::Relaxed),
            Err(failure) => {
                println!("{failure}");
                failed.fetch_add(1, Ordering::Relaxed)
            }
        };
        drop(over);
    });
    println!("{} seeds passed, {} failed", passed.load(Ordering::Relaxed), failed.load(Ordering::Relaxed));
    if failed.into_inner() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn replay(seed: u64) -> ExitCode {
    let [first, second] = [0, 1].map(|_| alone(soak::live_through(seed)));
    let (told, failure) = match first {
        Ok(told) => (told, None),
        Err(failure) => (failure.told.clone(), Some(failure)),
    };
    println!("{}\n\n{}\n", told.journals, told.log);
    println!("{}", told.runs.join("\n"));
    let again = second.unwrap_or_else(|failure| failure.told);
    println!("the second time {}", if again == told { "the same, byte for byte" } else { "it went differently" });
    match failure {
        None => ExitCode::SUCCESS,
        Some(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}
