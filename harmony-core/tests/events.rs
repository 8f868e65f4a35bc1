//! The events' JSON is public: `docs/reference/events.md` shows each, and is held to the code.

use std::collections::BTreeSet;

use harmony_core::event::{Event, Record};
use serde_json::Value;

const PAGE: &str = include_str!("../../docs/reference/events.md");

/// Every event, by its variant: one that is added fails to compile here, and then has to be on the page.
fn name(event: &Event) -> &'static str {
    match event {
        Event::RunStarted { .. } => "run_started",
        Event::ScoreStarted { .. } => "score_started",
        Event::Planned { .. } => "planned",
        Event::ObservationFailed { .. } => "observation_failed",
        Event::StepStarted { .. } => "step_started",
        Event::StepWaiting { .. } => "step_waiting",
        Event::StepFinished { .. } => "step_finished",
        Event::StepRecovered { .. } => "step_recovered",
        Event::StepFailed { .. } => "step_failed",
        Event::StepStopped { .. } => "step_stopped",
        Event::ScoreFinished { .. } => "score_finished",
        Event::HostChanged { .. } => "host_changed",
        Event::HostForgotten { .. } => "host_forgotten",
        Event::PortsRead { .. } => "ports_read",
        Event::RunFinished { .. } => "run_finished",
    }
}

/// As many as `name` has arms.
const EVENTS: usize = 15;

#[test]
fn the_page_shows_every_event_as_it_is_written() {
    let samples = PAGE.split("```json\n").skip(1).filter_map(|block| block.split("```").next());
    let mut shown = BTreeSet::new();
    for line in samples.flat_map(str::lines) {
        let value: Value = serde_json::from_str(line).expect(line);
        let record: Record = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(serde_json::to_value(&record).expect("serialises"), value, "{line}");
        assert_eq!(value["event"], name(&record.event), "{line}");
        shown.insert(name(&record.event));
    }
    assert_eq!(shown.len(), EVENTS, "only shown: {shown:?}");
}
