//! HAProxy itself, with servers on loopback.

use harmony_core::capability::{Balance, HealthCheck, LbServer, LbService, LoadBalancer, ServerAdmin, ServerState};
use harmony_core::error::{FailureKind, chain};
use harmony_core::net::Hostname;

use crate::parts::dnsmasq::script;
use crate::parts::haproxy::{Site, is_alive, tls};
use crate::world::{Namespace, until};

fn name(text: &str) -> Hostname {
    text.parse().expect("a name")
}

#[tokio::test]
async fn health_follows_the_checks_over_tls() {
    let site = Site::new();
    let haproxy = site.owned();
    let master = site.server("master-0", Some(tls())).await;
    master.set_well(false);
    let check = HealthCheck::Https { path: "/readyz".to_owned() };
    let api = LbService { check, ..site.service("api", 1, &[&master]) };
    haproxy.set_services(std::slice::from_ref(&api)).await.expect("set");
    assert_eq!(haproxy.services().await.expect("read"), std::slice::from_ref(&api));
    site.until_is(&haproxy, "master-0", &ServerState::Down).await;
    let health = haproxy.server_health().await.expect("read");
    assert!(health[0].last_check.as_deref().is_some_and(|said| said.starts_with("L7STS")), "{health:?}");

    master.set_well(true);
    site.until_is(&haproxy, "master-0", &ServerState::Up).await;
    assert!(master.looks() >= 2, "up after {} looks", master.looks());
    master.set_well(false);
    site.until_is(&haproxy, "master-0", &ServerState::Down).await;
    assert!(master.looks() >= 3, "down after {} looks", master.looks());
}

#[tokio::test]
async fn nothing_is_called_up_before_it_was_looked_at() {
    let site = Site::new();
    let haproxy = site.owned();
    let servers = [site.server("master-0", None).await, site.server("master-1", None).await];
    // The first look comes within the interval; servers are looked at one after the other.
    let api = LbService { interval_s: 60, ..site.service("api", 1, &[&servers[0], &servers[1]]) };
    haproxy.set_services(&[api]).await.expect("set");
    let health = haproxy.server_health().await.expect("read");
    for (row, server) in health.iter().zip(&servers) {
        let expected = matches!(&row.state, ServerState::Unrecognised(said) if said.ends_with("not looked at yet"));
        assert!(expected || server.looks() > 0, "{row:?}");
    }
    let unseen = health.iter().filter(|row| matches!(row.state, ServerState::Unrecognised(_))).count();
    assert!(unseen >= 1, "{health:?}");
}

#[tokio::test]
async fn a_backup_serves_only_while_no_other_is_well() {
    let site = Site::new();
    let haproxy = site.owned();
    let (bootstrap, master) = (site.server("bootstrap", None).await, site.server("master-0", None).await);
    haproxy.set_services(&[site.service("api", 1, &[&bootstrap, &master])]).await.expect("set");
    site.until_is(&haproxy, "master-0", &ServerState::Up).await;
    site.until_is(&haproxy, "bootstrap", &ServerState::Up).await;
    for _ in 0..4 {
        assert_eq!(site.connect(1).await.expect("served").1, "master-0");
    }
    master.set_well(false);
    site.until_is(&haproxy, "master-0", &ServerState::Down).await;
    assert_eq!(site.connect(1).await.expect("served").1, "bootstrap");
    master.set_well(true);
    site.until_is(&haproxy, "master-0", &ServerState::Up).await;
    assert_eq!(site.connect(1).await.expect("served").1, "master-0");
}

#[tokio::test]
async fn a_reload_cuts_no_connection_and_refuses_none() {
    let site = Site::new();
    let haproxy = site.owned();
    let master = site.server("master-0", None).await;
    let api = site.service("api", 1, &[&master]);
    haproxy.set_services(std::slice::from_ref(&api)).await.expect("set");
    let (mut open, _) = site.connect(1).await.expect("served");
    let reloading = async {
        for n in 2..5 {
            haproxy.set_services(&[site.service(&format!("more-{n}"), n, &[&master])]).await.expect("set");
        }
    };
    tokio::pin!(reloading);
    let mut connected = 0;
    loop {
        tokio::select! {
            biased;
            () = &mut reloading => break,
            connection = site.connect(1) => {
                assert_eq!(connection.expect("a new connection is served at every moment").1, "master-0");
                connected += 1;
            }
        }
    }
    assert!(connected > 0);
    assert!(is_alive(&mut open).await, "the connection from before three reloads");
    assert_eq!(site.connect(4).await.expect("served").1, "master-0");
    assert_eq!(haproxy.services().await.expect("read").len(), 4);

    let count = site.writes().len();
    haproxy.set_services(&[api]).await.expect("as it is");
    assert_eq!(site.writes().len(), count);
    assert_eq!(
        site.writes()[..4],
        [
            "start haproxy -W -D -f /lb/main.cfg -f /lb/harmony.cfg",
            "write /lb/harmony.cfg",
            "reload (SIGUSR2)",
            "write /lb/harmony.cfg"
        ]
    );
    haproxy.remove_services(&[name("api"), name("more-2"), name("absent")]).await.expect("removed");
    assert!(is_alive(&mut open).await, "a connection of a removed service goes on");
    assert!(site.connect(1).await.is_err());
    let left: Vec<_> = haproxy.services().await.expect("read").into_iter().map(|service| service.name).collect();
    assert_eq!(left, [name("more-3"), name("more-4")]);
    let count = site.writes().len();
    haproxy.remove_services(&[name("api")]).await.expect("is not there");
    assert_eq!(site.writes().len(), count);
}

#[tokio::test]
async fn a_drained_server_keeps_what_it_has_and_gets_no_more() {
    let site = Site::new();
    let haproxy = site.owned();
    let (first, second) = (site.server("master-0", None).await, site.server("master-1", None).await);
    haproxy.set_services(&[site.service("api", 1, &[&first, &second])]).await.expect("set");
    for server in ["master-0", "master-1"] {
        site.until_is(&haproxy, server, &ServerState::Up).await;
    }
    let mut open = loop {
        let (stream, server) = site.connect(1).await.expect("served");
        if server == "master-0" {
            break stream;
        }
    };
    let (api, master) = (name("api"), name("master-0"));
    let count = site.writes().len();
    for _ in 0..2 {
        haproxy.set_server(&api, &master, ServerAdmin::Drain).await.expect("drained");
    }
    assert_eq!(site.writes()[count..], ["set server api/master-0 state drain"]);
    let health = haproxy.server_health().await.expect("read");
    assert_eq!((&health[0].state, health[0].sessions), (&ServerState::Drain, 1), "{health:?}");
    for _ in 0..4 {
        assert_eq!(site.connect(1).await.expect("served").1, "master-1");
    }
    assert!(is_alive(&mut open).await);
    haproxy.set_server(&api, &master, ServerAdmin::Maintenance).await.expect("taken out");
    site.until_is(&haproxy, "master-0", &ServerState::Maintenance).await;
    haproxy.set_server(&api, &master, ServerAdmin::Ready).await.expect("ready");
    site.until_is(&haproxy, "master-0", &ServerState::Up).await;

    for (service, server) in [("api", "absent"), ("absent", "master-0")] {
        let error = haproxy.set_server(&name(service), &name(server), ServerAdmin::Drain).await.expect_err("absent");
        assert!(error.kind() == FailureKind::Invalid && error.hint_text().is_some(), "{}", chain(&error));
    }
}

#[tokio::test]
async fn what_cannot_work_is_found_before_anything_is_changed() {
    let site = Site::new();
    let haproxy = site.owned();
    let master = site.server("master-0", None).await;
    let api = site.service("api", 1, &[&master]);
    haproxy.set_services(std::slice::from_ref(&api)).await.expect("set");
    let (count, text) = (site.writes().len(), std::fs::read_to_string(site.file("lb/harmony.cfg")).expect("there"));

    let taken = tokio::net::TcpListener::bind(site.listen(2)).await.expect("free");
    let elsewhere = "192.0.2.1:6443".parse().expect("an address");
    for (service, kind, why) in [
        (
            site.service("web", 2, &[]),
            FailureKind::Conflict,
            format!("cannot listen on {}: address in use", site.listen(2)),
        ),
        (
            site.service("web", 1, &[]),
            FailureKind::Conflict,
            "services `api` and `web` would both listen on".to_owned(),
        ),
        (
            LbService { listen: vec![elsewhere], ..site.service("web", 3, &[]) },
            FailureKind::Conflict,
            "cannot listen on 192.0.2.1:6443: address not available".to_owned(),
        ),
        (
            LbService { interval_s: 0, ..site.service("web", 3, &[]) },
            FailureKind::Invalid,
            "checks every 0 s".to_owned(),
        ),
    ] {
        // All at once, or none.
        let error = haproxy.set_services(&[site.service("fine", 4, &[&master]), service]).await.expect_err(&why);
        let said = chain(&error);
        assert!(error.kind() == kind && said.contains(&why) && error.hint_text().is_some(), "{said}");
        assert!(said.starts_with("failed to set load balancer services `fine`, `web` of HAProxy"), "{said}");
    }
    drop(taken);

    // Somebody's mistake in what HAProxy reads besides.
    std::fs::write(site.file("lb/main.cfg"), "global\n    no-such-word\n").expect("written");
    let error = haproxy.set_services(&[site.service("web", 3, &[&master])]).await.expect_err("refused");
    let said = chain(&error);
    assert_eq!(error.kind(), FailureKind::Invalid, "{said}");
    assert!(said.contains("HAProxy refuses the configuration") && said.contains("main.cfg:2"), "{said}");
    assert!(said.contains("no-such-word"), "{said}");

    assert_eq!(site.writes().len(), count);
    assert_eq!(std::fs::read_to_string(site.file("lb/harmony.cfg")).expect("there"), text);
    assert_eq!(haproxy.services().await.expect("read"), [api]);
    assert_eq!(site.connect(1).await.expect("served").1, "master-0");
}

#[tokio::test]
async fn what_others_wrote_is_left_alone() {
    let site = Site::new();
    site.start_foreign(&["haproxy.cfg", "harmony.cfg"]);
    let haproxy = site.foreign();
    assert_eq!(haproxy.services().await.expect("read"), []);
    let master = site.server("master-0", None).await;
    let intranet = async || {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(site.listen(7)).await.expect("open");
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answered");
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    };
    let error = haproxy.set_services(&[site.service("intranet", 1, &[&master])]).await.expect_err("somebody's name");
    assert!(
        error.kind() == FailureKind::Conflict && chain(&error).contains("a section `intranet`"),
        "{}",
        chain(&error)
    );
    let error = haproxy.set_services(&[site.service("api", 7, &[&master])]).await.expect_err("somebody's address");
    assert_eq!(error.kind(), FailureKind::Conflict, "{}", chain(&error));
    assert!(site.writes().is_empty());
    intranet().await;

    haproxy.set_services(&[site.service("api", 1, &[&master])]).await.expect("set");
    assert_eq!(site.connect(1).await.expect("served").1, "master-0");
    assert_eq!(site.writes(), ["write /harmony.cfg", "reload (/reload)"]);
    assert_eq!(haproxy.services().await.expect("read").len(), 1);
    assert_eq!(haproxy.server_health().await.expect("read").len(), 1);
    intranet().await;
    haproxy.remove_services(&[name("api"), name("intranet")]).await.expect("removed");
    assert!(site.connect(1).await.is_err());
    intranet().await;
}

#[tokio::test]
async fn what_the_running_process_does_not_take_is_put_back() {
    let site = Site::new();
    // It was started without Harmony's file.
    site.start_foreign(&["haproxy.cfg"]);
    let haproxy = site.foreign();
    let error = haproxy.set_services(&[site.service("api", 1, &[])]).await.expect_err("not taken");
    let said = chain(&error);
    assert!(said.contains("has not taken") && said.contains("or without it"), "{said}");
    assert!(error.hint_text().is_some_and(|hint| hint.contains("is started with `-f")), "{error:?}");
    assert_eq!(std::fs::read_to_string(site.file("harmony.cfg")).expect("there"), "");
    assert_eq!(haproxy.services().await.expect("read"), []);

    script(&site.file("reload"), "#!/bin/sh\necho 'no such unit' >&2\nexit 5");
    let error = haproxy.set_services(&[site.service("api", 1, &[])]).await.expect_err("not reloaded");
    assert!(chain(&error).contains("no such unit") && error.hint_text().is_some(), "{}", chain(&error));
    assert_eq!(haproxy.services().await.expect("read"), []);

    let absent = Site::new();
    absent.start_foreign(&["haproxy.cfg", "harmony.cfg"]);
    crate::world::end_daemon(&absent.file("haproxy.pid"));
    let error = absent.foreign().set_services(&[absent.service("api", 1, &[])]).await.expect_err("nobody there");
    assert_eq!(error.kind(), FailureKind::Unreachable, "{}", chain(&error));
    assert!(error.hint_text().is_some_and(|hint| hint.contains("level admin")), "{error:?}");
    assert_eq!(absent.foreign().services().await.expect("read while it is down"), []);
}

#[tokio::test]
async fn what_was_cut_off_is_finished() {
    let site = Site::new();
    let haproxy = site.owned();
    let master = site.server("master-0", None).await;
    let (api, web) = (site.service("api", 1, &[&master]), site.service("web", 2, &[&master]));
    let (file, before) = (site.file("lb/harmony.cfg"), site.file("lb/.harmony.cfg.before"));
    haproxy.set_services(std::slice::from_ref(&api)).await.expect("set");
    let one = std::fs::read_to_string(&file).expect("there");
    haproxy.set_services(std::slice::from_ref(&web)).await.expect("set");
    let both = std::fs::read_to_string(&file).expect("there");

    // Killed after the reload, before it was noted.
    std::fs::write(&before, &one).expect("written");
    assert_eq!(haproxy.services().await.expect("read"), std::slice::from_ref(&api), "what is known for sure");
    let count = site.writes().len();
    haproxy.set_services(std::slice::from_ref(&web)).await.expect("repeated");
    assert_eq!(site.writes().len(), count, "it was there already");
    assert_eq!(haproxy.services().await.expect("read"), [api.clone(), web.clone()]);

    // The same, and then another wish: its address is held by nobody but us.
    std::fs::write(&before, &one).expect("written");
    let slower = LbService { interval_s: 2, ..web.clone() };
    haproxy.set_services(std::slice::from_ref(&slower)).await.expect("set");
    assert_eq!(haproxy.services().await.expect("read"), [api.clone(), slower]);

    // Killed before the reload.
    haproxy.remove_services(&[name("web")]).await.expect("removed");
    for finish_by_start in [false, true] {
        std::fs::write(&before, &one).expect("written");
        std::fs::write(&file, &both).expect("written");
        assert!(site.connect(2).await.is_err());
        if finish_by_start {
            haproxy.ensure_running().await.expect("finished");
        } else {
            haproxy.set_services(std::slice::from_ref(&web)).await.expect("repeated");
        }
        assert_eq!(site.connect(2).await.expect("served").1, "master-0");
        assert_eq!(haproxy.services().await.expect("read"), [api.clone(), web.clone()]);
        assert!(!before.exists());
        haproxy.remove_services(&[name("web")]).await.expect("removed");
    }
}

#[tokio::test]
async fn it_outlives_its_starter_and_is_adopted() {
    let site = Site::new();
    let master = site.server("master-0", None).await;
    assert_eq!(site.owned().services().await.expect("read before it ever ran"), []);
    assert!(!site.owned().is_running().expect("read"));
    let api = site.service("api", 1, &[&master]);
    site.owned().set_services(std::slice::from_ref(&api)).await.expect("set");
    let count = site.writes().len();
    site.owned().ensure_running().await.expect("adopted");
    assert_eq!(site.writes().len(), count);
    let (mut open, _) = site.connect(1).await.expect("served");
    let other = Site::new();
    other.owned().ensure_running().await.expect("starts");
    other.owned().stop().await.expect("ends");
    assert!(is_alive(&mut open).await, "another Harmony's HAProxy is none of ours");

    site.owned().stop().await.expect("ends");
    site.owned().stop().await.expect("is not there");
    assert!(site.connect(1).await.is_err());
    assert_eq!(site.owned().services().await.expect("read while it is down"), [api]);
    let error = site.owned().server_health().await.expect_err("nobody there");
    assert_eq!(error.kind(), FailureKind::Unreachable);
    site.owned().ensure_running().await.expect("starts");
    assert_eq!(site.connect(1).await.expect("served").1, "master-0");

    let absent = site.owned_by("/nonexistent/haproxy".into());
    site.owned().stop().await.expect("ends");
    let error = absent.ensure_running().await.expect_err("not installed");
    assert_eq!(error.hint_text(), Some("install it: apt-get install haproxy"));
}

#[tokio::test]
async fn a_file_that_was_changed_by_hand_is_named() {
    let site = Site::new();
    let haproxy = site.owned();
    haproxy.set_services(&[site.service("api", 1, &[])]).await.expect("set");
    let file = site.file("lb/harmony.cfg");
    let text = std::fs::read_to_string(&file).expect("there");
    std::fs::write(&file, text.replace("    mode tcp\n    bind", "    mode http\n    bind")).expect("written");
    for error in [
        haproxy.services().await.expect_err("changed"),
        haproxy.set_services(&[site.service("web", 2, &[])]).await.expect_err("changed"),
        haproxy.remove_services(&[name("api")]).await.expect_err("changed"),
    ] {
        let said = chain(&error);
        assert!(said.contains("was changed by hand: line 5 is not as Harmony writes it: `mode http`"), "{said}");
        assert!(error.kind() == FailureKind::Invalid && error.hint_text().is_some());
    }
}

/// A whole cluster's services, in a namespace that has their address.
#[tokio::test]
async fn the_services_of_a_cluster() {
    let (site, namespace) = (Site::new(), Namespace::new());
    namespace.ip(&["addr", "add", "192.168.1.5/24", "dev", "lo"]);
    let program = site.file("haproxy");
    script(&program, &format!("#!/bin/sh\nexec ip netns exec {} haproxy \"$@\"", namespace.name()));
    let haproxy = site.owned_by(program);
    let server = |host: &str, last: u8, port: u16| LbServer {
        name: name(host),
        address: ([192, 168, 1, last], port).into(),
        backup: host == "bootstrap",
    };
    let control = [("bootstrap", 96), ("master-0", 97), ("master-1", 98), ("master-2", 99)];
    let workers = [("worker-0", 100), ("worker-1", 101)];
    let service = |text: &str, port, balance, check, hosts: &[(&str, u8)]| LbService {
        name: name(text),
        listen: vec![([192, 168, 1, 5], port).into()],
        balance,
        check,
        interval_s: 5,
        servers: hosts.iter().map(|(host, last)| server(host, *last, port)).collect(),
    };
    let https = |path: &str| HealthCheck::Https { path: path.to_owned() };
    let router = HealthCheck::Http { path: "/healthz/ready".to_owned(), port: 1936 };
    let wanted = [
        service("ocp4-api", 6443, Balance::RoundRobin, https("/readyz"), &control),
        service("ocp4-ingress-http", 80, Balance::Source, router.clone(), &workers),
        service("ocp4-ingress-https", 443, Balance::Source, router, &workers),
        service("ocp4-machine-config", 22623, Balance::RoundRobin, HealthCheck::Tcp, &control),
    ];
    haproxy.set_services(&wanted).await.expect("judged by haproxy -c, and taken");
    assert_eq!(haproxy.services().await.expect("read"), wanted);
    until("all servers are looked at", async || {
        let health = haproxy.server_health().await.expect("read");
        assert_eq!(health.len(), 12);
        health.iter().all(|row| row.state == ServerState::Down).then_some(())
    })
    .await;
    let text = std::fs::read_to_string(site.file("lb/harmony.cfg")).expect("there");
    let (path, part) = haproxy.service_text(&wanted[0]);
    assert!(path.ends_with("harmony.cfg") && text.contains(&part));
    insta::assert_snapshot!(text);
}
