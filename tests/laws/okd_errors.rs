//! How an installation ends that a fault keeps from its end: what it says is a golden file, for each fault of clusters.
//!
//! Each names the host or the object, the phase, what was seen, and the next step; `snapshots/` shows it as a terminal would.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use harmony_core::event::{Event, Outcome, Record};
use harmony_sim::{Fault, FaultName, WorldSpec};
use harmony_tests::{Site, cases};

/// What a person is told: each step that failed, with what was seen of it; what is left to a person to decide; the end.
fn told(journal: &[Record], outcome: &Outcome) -> String {
    let mut text = String::new();
    let (mut lines, mut shown) = (Vec::new(), BTreeSet::new());
    for record in journal {
        match &record.event {
            Event::StepFailed { score, step, error, evidence, hint, retries: false, .. } => {
                let _ = writeln!(text, "{score}: {step} failed: {error}");
                let hint = hint.iter().map(|hint| format!("hint: {hint}"));
                text.extend(evidence.iter().cloned().chain(hint).map(|line| format!("  {line}\n")));
            }
            Event::StepWaiting { evidence, .. } => {
                lines.extend(evidence.iter().filter(|line| line.contains("is left to you")).cloned());
            }
            _ => {}
        }
    }
    lines.retain(|line| shown.insert(line.clone()));
    text.extend(lines.iter().map(|line| format!("{line}\n")));
    match outcome {
        Outcome::Failed { error, hint } => {
            let hint = hint.iter().map(|hint| format!("\nhint: {hint}")).collect::<String>();
            let _ = writeln!(text, "failed: {error}{hint}");
        }
        Outcome::PlanDone { waits_for } => text.push_str(&format!("waits for: {}\n", waits_for.join(", "))),
        Outcome::Converged => text.push_str("converged\n"),
        Outcome::Stopped => text.push_str("stopped\n"),
    }
    text
}

async fn ends(fault: FaultName) -> String {
    let site = Site::wanting(WorldSpec::okd_rack(41, 3, 1), cases::okd);
    let injected = match fault {
        // A master, not whoever is drawn.
        FaultName::HangingFirstBoot => site.world.inject(Fault::FirstBootHangs { machine: "node-4".to_owned() }),
        other => site.world.inject_by_name(other, 5).expect("a victim"),
    };
    let outcome = site.apply().await;
    site.assert_unbroken(fault.as_str());
    assert!(injected.fired() > 0, "{fault:?} never struck: {}", site.world.log());
    told(&site.journal().await, &outcome)
}

macro_rules! golden {
    ($($test:ident: $fault:ident,)*) => {
        $(#[tokio::test(start_paused = true)]
        async fn $test() {
            insta::assert_snapshot!(stringify!($test), ends(FaultName::$fault).await);
        })*

        #[test]
        fn every_fault_of_clusters_is_here() {
            let here = [$(FaultName::$fault,)*];
            let missing: Vec<_> =
                FaultName::ALL.iter().filter(|fault| fault.is_of_clusters() && !here.contains(fault)).collect();
            assert!(missing.is_empty(), "{missing:?}");
        }
    };
}

golden! {
    silent_bootstrap: SilentBootstrap,
    hanging_first_boot: HangingFirstBoot,
    missing_machine_config: MissingMachineConfig,
    expired_certificates: ExpiredCertificates,
    foreign_request: ForeignRequest,
    degraded_operator: DegradedOperator,
    lost_server: LostServer,
    stale_dns: StaleDns,
}
