//! The agents of live environments, found and read.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use harmony_core::capability::{AgentReply as Reply, HostDiscovery};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::report::{AGENT_PORT, MAX_REPORT_BYTES};

use crate::faults::AgentReply;
use crate::machine::{Running, report};
use crate::topology::SimTopology;

/// How long a scan of the network takes.
const SCAN: Duration = Duration::from_secs(1);
/// How long a reader waits for an agent that says nothing.
const PATIENCE: Duration = Duration::from_secs(10);

#[async_trait]
impl HostDiscovery for SimTopology {
    async fn scan(&self) -> DeviceResult<Vec<IpAddr>> {
        self.world().sleep(SCAN).await;
        let now = self.world().now();
        let mut found: Vec<IpAddr> = self.world().with(|state| {
            let answers = |id: &usize| {
                matches!(state.machines[*id].running, Running::Live { agent: true, .. }) && state.is_reachable(*id, now)
            };
            (0..state.machines.len()).filter(answers).filter_map(|id| state.machines[id].running.address()).collect()
        });
        found.sort();
        Ok(found)
    }

    async fn fetch_report(&self, address: IpAddr) -> DeviceResult<Reply> {
        self.world().ask().await;
        let now = self.world().now();
        let fail = |kind, why: &str| {
            Err(DeviceError::new(kind, format!("failed to read the report of the agent at {address}")).because(why))
        };
        let found = self.world().with(|state| {
            let id = state.at_address(address, now)?;
            let Running::Live { agent: true, .. } = state.machines[id].running else { return None };
            let reply = state.faults.agent_reply(&state.machines[id].name);
            let mut report = report(state, id, now)?;
            let reply = reply.filter(|reply| !state.lie(id).tell(*reply, &mut report));
            Some((reply, report))
        });
        let (fault, report) = match found {
            Some(found) => found,
            None => return fail(FailureKind::Unreachable, "connection refused"),
        };
        let body = match fault {
            Some(AgentReply::Error500) => return fail(FailureKind::Transient, "HTTP status 500"),
            Some(AgentReply::Gigabyte) => {
                return fail(FailureKind::Invalid, &format!("it sends more than {MAX_REPORT_BYTES} bytes"));
            }
            Some(AgentReply::Silence) => {
                self.world().sleep(PATIENCE).await;
                return fail(FailureKind::Unreachable, "no answer");
            }
            Some(AgentReply::Nonsense) => b"<html>It works!</html>".to_vec(),
            // A lie is told in the report.
            Some(AgentReply::OtherSerial | AgentReply::OtherMac | AgentReply::OtherPort) | None => {
                match serde_json::to_vec(&report) {
                    Ok(body) => body,
                    Err(_) => return fail(FailureKind::Bug, "the report has no JSON form"),
                }
            }
        };
        Ok(Reply { address: SocketAddr::new(address, AGENT_PORT), body })
    }
}
