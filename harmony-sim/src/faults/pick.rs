//! A fault of a given name whose victim and moment are chosen by a seed.

use harmony_core::boot::Stage;
use jiff::SignedDuration;

use super::{AgentReply, Fault, FaultName, WriteFault};
use crate::cluster::Foreign;
use crate::random::Random;
use crate::spec::WorldSpec;

/// A write fault by seed strikes one of this many first writes to its device.
const EARLY_WRITES: usize = 4;

impl Fault {
    /// A fault of this name in this world, with a victim chosen by the seed. None if the world has no
    /// victim for it: no machine, no switch, no second machine to swap cables with.
    #[must_use]
    pub fn pick(name: FaultName, world: &WorldSpec, seed: u64) -> Option<Self> {
        let mut random = Random::new(seed, name.as_str());
        let host = at(&world.hosts, &mut random);
        let machine = host.map(|host| host.name.clone());
        let switch = at(&world.switches, &mut random).map(|switch| switch.name.clone());
        let mut write = |how| {
            let drivers = ["switch/", "bmc/", "dhcp/", "pxe/"];
            let (device, nth) = (drivers[random.pick(drivers.len())].to_owned(), random.pick(EARLY_WRITES) + 1);
            Some(Self::Write { device, nth: u32::try_from(nth).ok()?, how })
        };
        match name {
            FaultName::LostCommand => write(WriteFault::FailBefore),
            FaultName::LostReply => write(WriteFault::FailAfter),
            FaultName::LateReply => write(WriteFault::Late),
            FaultName::SilentCommand => write(WriteFault::HangBefore),
            FaultName::SilentReply => write(WriteFault::HangAfter),
            FaultName::CutConnection => Some(Self::CutMidCommand { switch: switch? }),
            FaultName::RefusedLogin => {
                let device = ["switch/", "bmc/", "host/"][random.pick(3)].to_owned();
                Some(Self::LoginRefused { device, times: 1 })
            }
            FaultName::RejectedCommand => {
                let first = u32::try_from(random.pick(EARLY_WRITES) + 1).ok()?;
                Some(Self::SwitchRejects { switch: switch?, first, every: 5 })
            }
            FaultName::RefusedLacp => Some(Self::SwitchRefusesLacp { switch: switch? }),
            FaultName::MuteBond => Some(Self::NeverNegotiates { machine: machine? }),
            FaultName::IgnoredBootDevice => Some(Self::BmcIgnoresBootDevice { machine: machine? }),
            FaultName::StickyBootDevice => Some(Self::BmcKeepsBootDevice { machine: machine? }),
            FaultName::HangingHost => {
                let stage = [Stage::Idle, Stage::Firmware, Stage::Ipxe, Stage::Plain][random.pick(4)];
                let nth = u32::try_from(random.pick(3) + 1).ok()?;
                Some(Self::HostHangs { machine: machine?, stage, nth })
            }
            FaultName::WrongBootNic => Some(Self::BootsFromWrongNic { machine: machine? }),
            FaultName::SwappedCables => {
                let first = host?;
                let others: Vec<_> = world.hosts.iter().filter(|other| other.name != first.name).collect();
                let second = at(&others, &mut random)?;
                Some(Self::SwappedCables { nics: [(first.name.clone(), 0), (second.name.clone(), 0)] })
            }
            FaultName::FlappingLink => {
                let nic = random.pick(host?.nics.iter().filter(|nic| nic.port.is_some()).count());
                Some(Self::FlappingLink { machine: machine?, nic })
            }
            FaultName::ExhaustedDhcp => Some(Self::DhcpExhausted),
            FaultName::VanishedDisk => {
                Some(Self::DiskVanished { machine: machine?, disk: host?.disks.first()?.name.clone() })
            }
            FaultName::FailedInstall => Some(Self::InstallFails { machine: machine?, reason: "digest".to_owned() }),
            FaultName::BrokenAgent => {
                let replies = [AgentReply::Error500, AgentReply::Nonsense, AgentReply::Gigabyte, AgentReply::Silence];
                Some(Self::Agent { machine: machine?, reply: replies[random.pick(4)] })
            }
            FaultName::LyingAgent => {
                let lies = [AgentReply::OtherSerial, AgentReply::OtherMac, AgentReply::OtherPort];
                Some(Self::Agent { machine: machine?, reply: lies[random.pick(3)] })
            }
            FaultName::SilentBootstrap => Some(Self::BootstrapNeverServes),
            FaultName::HangingFirstBoot => Some(Self::FirstBootHangs { machine: machine? }),
            FaultName::MissingMachineConfig => Some(Self::MachineConfigMissing),
            FaultName::ExpiredCertificates => Some(Self::CertificatesExpired),
            FaultName::ForeignRequest => {
                let foreign = [
                    Foreign::Node,
                    Foreign::CommonName,
                    Foreign::Organisation,
                    Foreign::DnsName,
                    Foreign::Address,
                    Foreign::User,
                ];
                Some(Self::ForeignRequest { foreign: foreign[random.pick(foreign.len())] })
            }
            FaultName::DegradedOperator => {
                let operators = ["authentication", "ingress", "monitoring", "network"];
                Some(Self::OperatorDegraded { operator: operators[random.pick(operators.len())].to_owned() })
            }
            FaultName::LostServer => Some(Self::BalancerLoses { machine: machine? }),
            // An address that was somebody's once, and is nobody's now.
            FaultName::StaleDns => Some(Self::StaleDns { name: "api".to_owned(), address: world.pool.last }),
            FaultName::ClockJump => {
                let by = [SignedDuration::from_hours(5), SignedDuration::from_mins(-90)][random.pick(2)];
                Some(Self::ClockJump { by })
            }
            FaultName::KilledController => {
                Some(Self::ControllerKilled { nth: u32::try_from(random.pick(10) + 1).ok()? })
            }
        }
    }
}

fn at<'a, T>(of: &'a [T], random: &mut Random) -> Option<&'a T> {
    of.get(random.pick(of.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_fault_of_that_name() {
        let world = WorldSpec::mixed_rack(1, 3);
        for name in FaultName::ALL {
            for seed in 0..20 {
                let fault = Fault::pick(*name, &world, seed).expect("a victim");
                assert_eq!(fault.name(), *name);
                assert_eq!(Fault::pick(*name, &world, seed), Some(fault), "the same seed, the same victim");
            }
        }
    }

    #[test]
    fn seeds_choose_different_victims_and_an_empty_world_has_none() {
        let world = WorldSpec::rack(1, 5);
        let victims: std::collections::BTreeSet<String> =
            (0..20).map(|seed| format!("{:?}", Fault::pick(FaultName::MuteBond, &world, seed))).collect();
        assert!(victims.len() > 2, "{victims:?}");
        let empty = WorldSpec::rack(1, 0);
        assert_eq!(Fault::pick(FaultName::MuteBond, &empty, 1), None);
        assert_eq!(Fault::pick(FaultName::SwappedCables, &WorldSpec::rack(1, 1), 1), None);
    }
}
