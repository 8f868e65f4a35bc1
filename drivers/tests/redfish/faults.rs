//! What goes wrong between driver and BMC: passwords, certificates, lost answers, visits cut short.

use std::time::Duration;

use harmony_core::capability::{Bmc, BootDevice, PowerAction};
use harmony_core::error::{FailureKind, chain};
use harmony_core::host::Firmware;
use harmony_drivers::bmc::PasswordSource;
use harmony_drivers::bmc::redfish::{CertificateSource, Patience};
use harmony_sim::{BmcPersonality, Fault, WriteFault};

use crate::rack::{PATIENCE, Rack};

const UEFI: Option<Firmware> = Some(Firmware::Uefi);

fn write_fault(how: WriteFault) -> Fault {
    Fault::Write { device: "bmc/".to_owned(), nth: 1, how }
}

#[tokio::test]
async fn a_wrong_password_says_what_to_correct() {
    let rack = Rack::new(BmcPersonality::Idrac).await;
    let wrong = rack.folder.path().join("wrong");
    std::fs::write(&wrong, "not-it").expect("written");
    let bmc = rack.bmc_with(|spec| spec.password = PasswordSource::File(wrong.clone()));
    let error = bmc.power(&rack.id(), PowerAction::On).await.expect_err("wrong");
    assert_eq!(error.kind(), FailureKind::Rejected);
    assert_eq!(error.to_string(), "failed to switch on the machine of BMC `bmc-1`");
    let hint = format!("wrong user `harmony` or password for BMC `bmc-1`: correct {}", wrong.display());
    assert_eq!(error.hint_text(), Some(hint.as_str()));
    assert!(!format!("{error:?} {}", chain(&error)).contains("not-it"));

    let absent = rack.bmc_with(|spec| spec.password = PasswordSource::Environment("HARMONY_NO_SUCH_VARIABLE".into()));
    let error = absent.power_state(&rack.id()).await.expect_err("no password");
    assert_eq!(error.kind(), FailureKind::Invalid);

    let refused = rack.world.inject(Fault::LoginRefused { device: "bmc/".to_owned(), times: 1 });
    let error = rack.bmc().power_state(&rack.id()).await.expect_err("refused");
    assert_eq!((error.kind(), refused.fired()), (FailureKind::Rejected, 1));
    rack.bmc().power_state(&rack.id()).await.expect("once only");
    assert!(rack.sent().is_empty() && rack.got().is_empty());
}

#[tokio::test]
async fn another_certificate_is_refused_before_anything_is_sent() {
    let (first, second) = (Rack::new(BmcPersonality::Generic).await, Rack::new(BmcPersonality::Generic).await);
    first.bmc().power_state(&first.id()).await.expect("first sight");
    let pins = std::fs::read_to_string(first.folder.path().join("certificates")).expect("pinned");
    assert_eq!(pins, format!("bmc/bmc-1 sha256:{}\n", first.certificate_sha256()));

    // Somebody else answers in its place.
    std::fs::write(second.folder.path().join("certificates"), &pins).expect("written");
    let error = second.bmc().power(&second.id(), PowerAction::On).await.expect_err("another");
    assert_eq!(error.kind(), FailureKind::Rejected);
    let (hint, said) = (error.hint_text().expect("a hint"), chain(&error));
    assert!(said.contains(second.certificate_sha256()) && said.contains(first.certificate_sha256()), "{said}");
    let file = second.folder.path().join("certificates");
    assert!(hint.contains(&format!("remove the line of `bmc/bmc-1` from {}", file.display())), "{hint}");
    assert!(!second.world.log().contains("bmc"), "nothing was asked: {}", second.world.log());

    let given = |rack: &Rack, sha256: &str| {
        let sha256 = sha256.parse().expect("a fingerprint");
        rack.bmc_with(|spec| spec.certificate = CertificateSource::Sha256(sha256))
    };
    given(&second, second.certificate_sha256()).power_state(&second.id()).await.expect("it is the one that was given");
    let error = given(&second, first.certificate_sha256()).power_state(&second.id()).await.expect_err("another");
    assert!(error.hint_text().expect("a hint").contains("correct `certificate_sha256`"));
}

#[tokio::test]
async fn a_lost_answer_is_looked_up() {
    for how in [WriteFault::FailAfter, WriteFault::HangAfter] {
        let rack = Rack::new(BmcPersonality::Generic).await;
        let bmc = rack.bmc().with_patience(Patience { request: Duration::from_secs(2), ..PATIENCE });
        for action in [None, Some(PowerAction::On), Some(PowerAction::Off)] {
            let fault = rack.world.inject(write_fault(how));
            match action {
                None => bmc.set_next_boot(&rack.id(), BootDevice::Network, UEFI).await,
                Some(action) => bmc.power(&rack.id(), action).await,
            }
            .unwrap_or_else(|error| panic!("{how} {action:?}: {}", chain(&error)));
            assert_eq!(fault.fired(), 1);
        }
        assert_eq!((rack.got().len(), rack.sent().len()), (3, 3), "none was sent twice");
    }
}

#[tokio::test]
async fn a_restart_whose_answer_is_lost_is_not_repeated() {
    let rack = Rack::new(BmcPersonality::Ilo).await;
    let bmc = rack.bmc();
    bmc.power(&rack.id(), PowerAction::On).await.expect("comes on");
    let fault = rack.world.inject(write_fault(WriteFault::FailAfter));
    let error = bmc.power(&rack.id(), PowerAction::Restart).await.expect_err("nobody knows");
    assert_eq!((error.kind(), fault.fired(), rack.machine().restarts), (FailureKind::Unreachable, 1, 2));
}

#[tokio::test]
async fn a_change_that_was_lost_on_the_way_is_an_error() {
    let rack = Rack::new(BmcPersonality::Supermicro).await;
    let bmc = rack.bmc().with_patience(Patience { follow: Duration::from_secs(1), ..PATIENCE });
    for action in [None, Some(PowerAction::On)] {
        let fault = rack.world.inject(write_fault(WriteFault::FailBefore));
        let act = async || match action {
            None => bmc.set_next_boot(&rack.id(), BootDevice::Network, UEFI).await,
            Some(action) => bmc.power(&rack.id(), action).await,
        };
        let error = act().await.expect_err("lost");
        assert_eq!((error.kind(), fault.fired()), (FailureKind::Unreachable, 1), "{}", chain(&error));
        act().await.expect("the next attempt");
    }
    assert!(rack.machine().powered);
}

#[tokio::test]
async fn visits_that_are_cut_short_log_out_too() {
    // Four sessions, and six visits that nobody waits for.
    let rack = Rack::new(BmcPersonality::Generic).await;
    let (bmc, id) = (rack.bmc(), rack.id());
    for _ in 0..6 {
        let fault = rack.world.inject(write_fault(WriteFault::HangBefore));
        let hung = async {
            while fault.fired() == 0 {
                tokio::task::yield_now().await;
            }
        };
        let visit = bmc.set_next_boot(&id, BootDevice::Network, UEFI);
        tokio::select! { result = visit => panic!("{result:?}"), () = hung => {} }
    }
    bmc.power_state(&id).await.expect("a session is free");
}
