//! No Score without a case: the Scores are read off the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use harmony_tests::cases;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            sources(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
}

/// The types in `impl … Score<…> for TYPE`.
fn scores_in(text: &str) -> BTreeSet<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_score = |word: &str| word.starts_with("Score<") || word.contains("::Score<") || word.ends_with(">Score<T>");
    let named = words.windows(3).filter(|words| is_score(words[0]) && words[1] == "for");
    named.map(|words| words[2].split(['<', '{']).next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn every_score_has_a_case() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut files = Vec::new();
    for member in fs::read_dir(root).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        // The engine's own wrapper is for every Score, and tests have Scores of their own.
        if member.join("Cargo.toml").exists() && member.join("src").is_dir() && !member.ends_with("harmony-core") {
            sources(&member.join("src"), &mut files);
        }
    }
    let texts = files.iter().map(|file| fs::read_to_string(file).expect("a source file"));
    let scores: BTreeSet<String> = texts.flat_map(|text| scores_in(&text)).collect();
    let proved: BTreeSet<String> = cases::all().iter().map(|case| case.score.to_owned()).collect();
    assert!(scores.len() >= 3, "the Scores are not found in the sources any more: {scores:?}");
    assert_eq!(scores, proved, "each Score needs a case in tests/harness/cases.rs");
}

#[test]
fn scores_are_found_in_source_text() {
    let text = "
        impl<T: Topology + Switch> Score<T> for SwitchAutomationScore {
        impl<T> Score<T>
            for Wide<T>
        impl<T> harmony_core::score::Score<T> for Full {
        impl<T: Topology, S: Score<T>> AnyScore<T> for S {";
    let names = ["Full", "SwitchAutomationScore", "Wide"].map(str::to_owned);
    assert_eq!(scores_in(text), BTreeSet::from(names));
}
