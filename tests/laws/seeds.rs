//! Runs that chance decides, by a seed.

use harmony_tests::{alone, for_each, soak};

/// Seeds that found something once.
const FOUND: [u64; 1] = [
    // A run after one that was stopped: an installer's bond showed its MAC on another port.
    15_208_602_877_408_460_944,
];

#[test]
fn sixty_four_seeds_and_those_that_found_something_break_no_rule() {
    for_each((0..64).chain(FOUND), async |seed| {
        if let Err(failure) = soak::live_through(seed).await {
            panic!("{failure}\n{}", failure.told.log);
        }
    });
}

#[test]
fn the_same_seed_is_the_same_run_byte_for_byte() {
    for seed in [3, 17, 40] {
        let [first, second] = [0, 1].map(|_| alone(soak::live_through(seed)).expect("passes"));
        assert_eq!(first.runs, second.runs, "seed {seed}");
        let differs =
            |a: &str, b: &str| a.lines().zip(b.lines()).find(|(a, b)| a != b).map(|(a, b)| format!("{a}\n{b}"));
        assert_eq!(differs(&first.journals, &second.journals), None, "seed {seed}: the journals differ");
        assert_eq!(differs(&first.log, &second.log), None, "seed {seed}: the logs differ");
        assert!(first == second, "seed {seed}: one is longer");
    }
    assert_ne!(alone(soak::live_through(3)).expect("passes").log, alone(soak::live_through(4)).expect("passes").log);
}
