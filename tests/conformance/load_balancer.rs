//! The contract of [`LoadBalancer`], where Harmony configures it.

use std::net::SocketAddr;

use harmony_core::capability::{Balance, HealthCheck, LbServer, LbService, LoadBalancer, ServerAdmin, ServerState};
use harmony_core::error::FailureKind;
use harmony_core::net::Hostname;

/// How often a condition is looked at before it counts as never met.
const LOOKS: usize = 400;

/// A load balancer that is Harmony's, and two servers that are well.
pub(crate) trait Rig {
    /// The driver.
    fn balancer(&self) -> impl LoadBalancer;
    /// The n-th address that it can listen on, from 0 to 2.
    fn listen(&self, n: u8) -> SocketAddr;
    /// Where the two servers accept connections.
    fn servers(&self) -> [SocketAddr; 2];
    /// Lets a little time pass.
    async fn wait(&self);
    /// How many changes were sent to it.
    fn writes(&self) -> usize;

    /// A service with both servers.
    fn service(&self, text: &str, n: u8) -> LbService {
        let server = |(at, address)| LbServer { name: name(&format!("server-{at}")), address, backup: at == 1 };
        LbService {
            name: name(text),
            listen: vec![self.listen(n)],
            balance: Balance::RoundRobin,
            check: HealthCheck::Tcp,
            interval_s: 1,
            servers: self.servers().into_iter().enumerate().map(server).collect(),
        }
    }
}

fn name(text: &str) -> Hostname {
    text.parse().expect("a name")
}

async fn until(rig: &impl Rig, server: &str, state: &ServerState) {
    let mut last = Vec::new();
    for _ in 0..LOOKS {
        last = rig.balancer().server_health().await.expect("read");
        if last.iter().any(|row| row.server.as_str() == server && row.state == *state) {
            return;
        }
        rig.wait().await;
    }
    panic!("{server} is not {state}: {last:?}");
}

pub(crate) async fn point_1_reads_change_nothing(rig: &impl Rig) {
    let api = rig.service("api", 0);
    rig.balancer().set_services(std::slice::from_ref(&api)).await.expect("set");
    let (balancer, before) = (rig.balancer(), rig.writes());
    assert_eq!(balancer.services().await.expect("read"), std::slice::from_ref(&api));
    balancer.server_health().await.expect("read");
    let (path, text) = balancer.service_text(&api);
    assert!(!path.is_empty() && text.contains("api") && text.contains("server-1"), "{path}: {text}");
    assert!(!balancer.load_balancer_is_external());
    assert_eq!(rig.writes(), before);
}

pub(crate) async fn point_2_services_are_replaced_and_others_stay(rig: &impl Rig) {
    let (balancer, web, mut api) = (rig.balancer(), rig.service("web", 1), rig.service("api", 0));
    balancer.set_services(std::slice::from_ref(&web)).await.expect("set");
    balancer.set_services(std::slice::from_ref(&api)).await.expect("set");
    assert_eq!(balancer.services().await.expect("read"), [api.clone(), web.clone()], "sorted by name");
    api.servers.truncate(1);
    api.balance = Balance::Source;
    api.listen = vec![rig.listen(2)];
    for _ in 0..2 {
        balancer.set_services(std::slice::from_ref(&api)).await.expect("set");
        assert_eq!(balancer.services().await.expect("read"), [api.clone(), web.clone()]);
    }
    let before = rig.writes();
    balancer.set_services(&[web, api]).await.expect("as they are");
    assert_eq!(rig.writes(), before, "repeating writes nothing");
}

pub(crate) async fn point_2_all_or_none(rig: &impl Rig) {
    let (balancer, api) = (rig.balancer(), rig.service("api", 0));
    balancer.set_services(std::slice::from_ref(&api)).await.expect("set");
    let before = rig.writes();
    // The second would listen where the first does already.
    let refused = [rig.service("fine", 1), rig.service("same", 0)];
    let error = balancer.set_services(&refused).await.expect_err("one address for two");
    assert!([FailureKind::Conflict, FailureKind::Invalid].contains(&error.kind()), "{error:?}");
    assert_eq!(balancer.services().await.expect("read"), [api]);
    assert_eq!(rig.writes(), before);
}

pub(crate) async fn point_3_removing_what_is_not_there_succeeds(rig: &impl Rig) {
    let (balancer, web) = (rig.balancer(), rig.service("web", 1));
    balancer.set_services(&[rig.service("api", 0), web.clone()]).await.expect("set");
    for _ in 0..2 {
        balancer.remove_services(&[name("api"), name("absent")]).await.expect("removed");
        assert_eq!(balancer.services().await.expect("read"), std::slice::from_ref(&web));
    }
}

pub(crate) async fn point_4_the_running_balancer_has_them(rig: &impl Rig) {
    let (balancer, mut api) = (rig.balancer(), rig.service("api", 0));
    balancer.set_services(&[rig.service("web", 1), api.clone()]).await.expect("set");
    let running = async || {
        let health = rig.balancer().server_health().await.expect("read");
        health.into_iter().map(|row| format!("{}/{}", row.service, row.server)).collect::<Vec<_>>()
    };
    assert_eq!(running().await, ["api/server-0", "api/server-1", "web/server-0", "web/server-1"]);
    api.servers.truncate(1);
    balancer.set_services(&[api]).await.expect("set");
    assert_eq!(running().await, ["api/server-0", "web/server-0", "web/server-1"]);
    balancer.remove_services(&[name("web")]).await.expect("removed");
    assert_eq!(running().await, ["api/server-0"]);
    until(rig, "server-0", &ServerState::Up).await;
}

pub(crate) async fn a_server_is_drained_until_it_is_ready_again(rig: &impl Rig) {
    let (balancer, api) = (rig.balancer(), name("api"));
    balancer.set_services(&[rig.service("api", 0)]).await.expect("set");
    until(rig, "server-0", &ServerState::Up).await;
    let server = name("server-0");
    for (admin, state) in [
        (ServerAdmin::Drain, ServerState::Drain),
        (ServerAdmin::Maintenance, ServerState::Maintenance),
        (ServerAdmin::Ready, ServerState::Up),
    ] {
        for _ in 0..2 {
            balancer.set_server(&api, &server, admin).await.expect("set");
        }
        until(rig, "server-0", &state).await;
    }
    assert!(balancer.set_server(&api, &name("absent"), ServerAdmin::Drain).await.is_err());
}
