//! A load balancer that somebody else configures: Harmony says what it should have, and changes nothing.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use harmony_core::capability::{LbService, LoadBalancer, ServerAdmin, ServerHealth};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::net::Hostname;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::haproxy;

/// How long it may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(3);

/// The site's load balancer, out of Harmony's hands.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExternalLoadBalancer;

fn refused(operation: String) -> DeviceError {
    DeviceError::new(FailureKind::Rejected, operation)
        .because("the site's load balancer is not Harmony's to change")
        .hint("have whoever runs it do that, or name a driver in [load_balancer] of the site file")
}

#[async_trait]
impl LoadBalancer for ExternalLoadBalancer {
    fn load_balancer_is_external(&self) -> bool {
        true
    }

    async fn listens(&self, at: SocketAddr) -> DeviceResult<()> {
        let failed =
            |why: String| DeviceError::new(FailureKind::Unreachable, format!("failed to connect to {at}")).because(why);
        match timeout(CONNECT, TcpStream::connect(at)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed(format!("no answer within {} s", CONNECT.as_secs()))),
        }
    }

    async fn services(&self) -> DeviceResult<Vec<LbService>> {
        Ok(Vec::new())
    }

    async fn set_services(&self, services: &[LbService]) -> DeviceResult<()> {
        Err(refused(format!("failed to set {}", haproxy::names(services.iter().map(|service| &service.name)))))
    }

    async fn remove_services(&self, names: &[Hostname]) -> DeviceResult<()> {
        Err(refused(format!("failed to remove {}", haproxy::names(names))))
    }

    async fn server_health(&self) -> DeviceResult<Vec<ServerHealth>> {
        Ok(Vec::new())
    }

    async fn set_server(&self, service: &Hostname, server: &Hostname, _: ServerAdmin) -> DeviceResult<()> {
        Err(refused(format!("failed to set server `{server}` of load balancer service `{service}`")))
    }

    /// In HAProxy's words, which most people who run one read.
    fn service_text(&self, service: &LbService) -> (String, String) {
        ("the site's load balancer, in HAProxy's words".to_owned(), haproxy::section(service))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn writes_are_refused_and_say_what_to_do() {
        let (balancer, api) = (ExternalLoadBalancer, haproxy::samples::api());
        assert!(balancer.load_balancer_is_external());
        assert_eq!(balancer.services().await.expect("none"), []);
        assert_eq!(balancer.server_health().await.expect("none"), []);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let at = listener.local_addr().expect("bound");
        balancer.listens(at).await.expect("somebody is there");
        drop(listener);
        let error = balancer.listens(at).await.expect_err("nobody is there");
        assert_eq!(error.kind(), FailureKind::Unreachable);
        let (name, server) = (api.name.clone(), api.servers[0].name.clone());
        for error in [
            balancer.set_services(std::slice::from_ref(&api)).await.expect_err("refused"),
            balancer.remove_services(std::slice::from_ref(&name)).await.expect_err("refused"),
            balancer.set_server(&name, &server, ServerAdmin::Drain).await.expect_err("refused"),
        ] {
            assert!(error.kind() == FailureKind::Rejected && error.hint_text().is_some(), "{error:?}");
            assert!(error.to_string().contains("`ocp4-api`"), "{error}");
        }
        assert!(balancer.service_text(&api).1.contains("server master-0 192.168.1.97:6443"));
    }
}
