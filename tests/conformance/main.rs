//! What each capability promises, checked on everything that implements it: one body for each numbered point
//! of the trait's contract, one line for each implementation.
//!
//! The simulator is checked in process; drivers on the wire of the simulator, and on the real parts
//! where those are installed and we are root. A new driver is a rig (how it is made, and what plays
//! its other end) and a line below.

mod bmc;
mod cluster;
mod dhcp;
mod discovery;
mod dns;
mod host_control;
#[allow(dead_code, reason = "the driver's own tests use more of it")]
#[path = "../../drivers/tests/kubernetes/site.rs"]
mod kubernetes;
mod load_balancer;
#[allow(dead_code, reason = "the drivers' own tests use more of it")]
#[path = "../../drivers/tests/real/parts/mod.rs"]
mod parts;
mod pxe;
mod real;
mod simulated;
mod switch;
mod wire;
#[allow(dead_code, reason = "the drivers' own tests use more of it")]
#[path = "../../drivers/tests/real/world.rs"]
mod world;

use std::time::Duration;

use real::{Dnsmasq, DnsmasqDns, Haproxy, IpmiSim, OpenVswitch, Sshd};
use simulated::{Simulated, SimulatedCluster};
use wire::{Agents, CiscoIos, Kubernetes, Redfish};

/// After how long a call is cut off, to see that repeating it puts everything right.
const CUTS: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(2),
    Duration::from_millis(10),
    Duration::from_millis(40),
    Duration::from_millis(75),
    Duration::from_millis(150),
];

/// A test for each point of a contract. A rig is absent where what it needs is not installed.
macro_rules! contract {
    ($capability:ident of $name:ident, $rig:expr; $($point:ident),+ $(,)?) => {
        mod $name {
            use super::*;

            $(
                #[tokio::test]
                async fn $point() {
                    if let Some(rig) = $rig.await {
                        crate::$capability::$point(&rig).await;
                    }
                }
            )+
        }
    };
}

macro_rules! switches {
    ($($name:ident: $rig:expr),+ $(,)?) => {
        mod switches {
            use super::*;
            $(contract! { switch of $name, $rig;
                point_1_reads_change_nothing, point_1_every_port_is_answered_for,
                point_2_access_takes_a_port_out_of_its_lag, point_2_a_lag_without_members_is_gone,
                point_2_access_may_be_repeated, point_3_lacp_may_be_repeated, point_3_other_ports_are_left_alone,
                point_4_what_cannot_be_is_an_error_and_changes_nothing, point_5_what_was_cut_off_can_be_repeated,
            })+
        }
    };
}

macro_rules! bmcs {
    ($($name:ident: $rig:expr),+ $(,)?) => {
        mod bmcs {
            use super::*;
            $(contract! { bmc of $name, $rig;
                point_1_reads_change_nothing, point_2_uefi_is_asked_for, point_3_power_is_as_asked,
                point_3_a_restart_switches_on, point_4_what_was_cut_off_can_be_repeated,
            })+
        }
    };
}

macro_rules! dhcp_servers {
    ($($name:ident: $rig:expr),+ $(,)?) => {
        mod dhcp_servers {
            use super::*;
            $(contract! { dhcp of $name, $rig;
                point_1_reads_change_nothing, point_2_a_reservation_is_replaced_and_may_be_repeated,
                point_2_what_another_holds_is_refused, point_3_removing_what_is_not_there_succeeds,
                point_4_the_next_request_gets_it,
            })+
        }
    };
}

macro_rules! dns_servers {
    ($($name:ident: $rig:expr),+ $(,)?) => {
        mod dns_servers {
            use super::*;
            $(contract! { dns of $name, $rig;
                point_1_reads_change_nothing, point_2_a_record_is_replaced_and_may_be_repeated,
                point_2_what_somebody_else_has_is_refused, point_3_removing_what_is_not_there_succeeds,
                point_4_the_server_answers_accordingly,
            })+
        }
    };
}

macro_rules! load_balancers {
    ($($name:ident: $rig:expr),+ $(,)?) => {
        mod load_balancers {
            use super::*;
            $(contract! { load_balancer of $name, $rig;
                point_1_reads_change_nothing, point_2_services_are_replaced_and_others_stay, point_2_all_or_none,
                point_3_removing_what_is_not_there_succeeds, point_4_the_running_balancer_has_them,
                a_server_is_drained_until_it_is_ready_again,
            })+
        }
    };
}

macro_rules! clusters {
    ($($name:ident: $rig:expr),+ $(,)?) => {
        mod clusters {
            use super::*;
            $(contract! { cluster of $name, $rig;
                point_1_reads_change_nothing, point_1_an_api_that_does_not_answer_is_unreachable,
                point_2_writes_may_be_repeated, point_3_the_very_request_that_was_read_is_approved,
            })+
        }
    };
}

macro_rules! host_controls {
    ($($name:ident: $rig:expr),+ $(,)?) => {
        mod host_controls {
            use super::*;
            $(contract! { host_control of $name, $rig;
                point_2_the_status_comes_back_whatever_it_is, point_2_nobody_there_is_unreachable,
                point_3_a_reboot_succeeds_although_the_connection_drops,
            })+
        }
    };
}

switches! {
    simulated: Simulated::off(),
    cisco_ios: CiscoIos::start(),
    openvswitch: OpenVswitch::start(),
}

bmcs! {
    simulated: Simulated::off(),
    redfish_idrac: Redfish::start(harmony_sim::BmcPersonality::Idrac),
    redfish_ilo: Redfish::start(harmony_sim::BmcPersonality::Ilo),
    redfish_supermicro: Redfish::start(harmony_sim::BmcPersonality::Supermicro),
    redfish_generic: Redfish::start(harmony_sim::BmcPersonality::Generic),
    ipmi: IpmiSim::start(),
}

dhcp_servers! {
    simulated: Simulated::off(),
    dnsmasq: Dnsmasq::start(),
}

dns_servers! {
    simulated: Simulated::off(),
    dnsmasq: DnsmasqDns::start(),
}

load_balancers! {
    simulated: Simulated::live(),
    haproxy: Haproxy::start(),
}

clusters! {
    simulated: SimulatedCluster::installed(),
    kubernetes: Kubernetes::start(),
}

host_controls! {
    simulated: Simulated::live(),
    ssh: Sshd::start(),
}

mod discoveries {
    use super::*;
    contract! { discovery of simulated, Simulated::live();
    agents_are_found_and_read, nobody_there_is_an_error }
    contract! { discovery of agents_on_the_wire, Agents::start();
    agents_are_found_and_read, nobody_there_is_an_error }
}

mod pxe_servers {
    use super::*;
    contract! { pxe of simulated, Simulated::off();
    point_1_a_mac_without_entry_boots_the_inventory_environment,
    point_2_an_entry_is_replaced_and_may_be_repeated, point_2_removing_may_be_repeated }
}
