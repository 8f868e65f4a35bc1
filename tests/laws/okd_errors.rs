//! How an installation ends that a fault keeps from its end: what it says is a golden file, for each fault of clusters.
//!
//! Each names the host or the object, the phase, what was seen, and the next step; `snapshots/` shows it as a terminal would.

use std::fmt::Write as _;

use harmony_core::event::Outcome;
use harmony_sim::{FaultName, WorldSpec};
use harmony_tests::{Site, cases};

/// How a run ended, as it is told to a person.
fn told(outcome: &Outcome) -> String {
    let mut text = String::new();
    match outcome {
        Outcome::Failed { error, hint } => {
            let _ = writeln!(text, "{error}");
            if let Some(hint) = hint {
                let _ = writeln!(text, "hint: {hint}");
            }
        }
        Outcome::PlanDone { waits_for } => {
            let _ = writeln!(text, "waits for:\n  {}", waits_for.join("\n  "));
        }
        Outcome::Converged => text.push_str("converged\n"),
        Outcome::Stopped => text.push_str("stopped\n"),
    }
    text
}

async fn ends(fault: FaultName) -> String {
    let site = Site::wanting(WorldSpec::okd_rack(41, 3, 1), cases::okd);
    let injected = site.world.inject_by_name(fault, 5).expect("a victim");
    let outcome = site.apply().await;
    site.assert_unbroken(fault.as_str());
    assert!(injected.fired() > 0, "{fault:?} never struck: {}", site.world.log());
    told(&outcome)
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
