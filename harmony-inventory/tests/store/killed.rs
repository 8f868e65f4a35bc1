//! `SIGKILL` in the middle of a journal: what `append` has returned for is there.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use harmony_core::store::Store;
use harmony_inventory::Inventory;

use crate::fixtures::*;
use crate::runs::record;

/// Makes this program the one that is killed, and tells it where its file is.
const FILE: &str = "HARMONY_TEST_JOURNAL";

#[tokio::test]
async fn a_killed_run_has_every_record_that_it_was_told_is_durable() {
    if let Ok(path) = std::env::var(FILE) {
        return append_until_killed(&path).await;
    }
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("harmony.db");
    for round in 1..=3 {
        let test = "killed::a_killed_run_has_every_record_that_it_was_told_is_durable";
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(FILE, &path)
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut told = BufReader::new(child.stdout.take().expect("piped")).lines();
        let number = |line: String| line.rsplit_once("durable ").and_then(|(_, seq)| seq.parse::<u64>().ok());
        let mut durable = || told.by_ref().find_map(|line| number(line.expect("UTF-8")));
        while durable().expect("the child goes on") < 100 * round {}
        child.kill().expect("SIGKILL");
        let last = std::iter::from_fn(durable).last().unwrap_or(100 * round);
        child.wait().expect("ended");

        let store = Inventory::open(path.to_str().expect("UTF-8")).await.expect("opens again");
        let run = store.runs().await.expect("read").pop().expect("begun");
        assert_eq!((run.program.as_str(), run.ended_at), ("killed", None));
        let seqs: Vec<_> = store.journal(run.id).await.expect("read").into_iter().map(|record| record.seq).collect();
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "no gap");
        assert!(seqs.len() as u64 >= last, "{} records, {last} were durable", seqs.len());
    }
}

/// Prints each number once its record is durable.
async fn append_until_killed(path: &str) {
    let store = Inventory::open(path).await.expect("opens");
    let run = store.begin_run("killed", at(0)).await.expect("begun");
    for seq in 1.. {
        store.append(run, &record(seq)).await.expect("appended");
        // Straight to the pipe: the test harness keeps what `println` says.
        writeln!(std::io::stdout().lock(), "durable {seq}").expect("the test reads");
    }
}
