use harmony_core::cluster::NodeKind;

use super::*;
use crate::cluster::{ApiStanding, Kubelet};
use crate::node::settings::Settings;

fn member(settings: &Settings, folder: &Path) -> History {
    History::at(settings, folder).expect("opened")
}

fn entry(at_s: u64, by: &str, input: Input) -> Entry {
    Entry { at_ms: at_s * 1000, by: by.to_owned(), address: [10, 10, 0, 11].into(), input }
}

fn kubelet(number: u8) -> Input {
    let fqdn = format!("master-{number}.ocp4.example.com");
    let addresses = vec![[10, 10, 0, 20 + number].into()];
    Input::Kubelet(Kubelet { fqdn, kind: NodeKind::Master, addresses, has_order: true })
}

/// A bootstrap and three masters, all of it long ago.
fn whole() -> Vec<Entry> {
    let mut entries = vec![entry(0, "bootstrap", Input::BootstrapStarted)];
    entries.extend((0..3).map(|number| entry(30 + u64::from(number), &format!("master-{number}"), kubelet(number))));
    entries
}

#[test]
fn members_that_know_the_same_are_of_one_mind_whatever_they_heard_first() {
    let at = Duration::from_secs(120);
    let look = |history: &History| {
        let mut known = history.lock();
        let state = &mut known.state;
        let masters = (0..3).map(|number| Server::Master(format!("master-{number}.ocp4.example.com")));
        let standings: Vec<ApiStanding> = masters.map(|server| state.api_standing(at, &server)).collect();
        (state.nodes(at), state.certificate_requests(at), standings, state.bootstrap_is_complete(at))
    };
    let settings = Settings::of_tests(NodeKind::Master);
    let mut seen = Vec::new();
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let folder = tempfile::tempdir().expect("folder");
        let history = member(&settings, folder.path());
        for index in order {
            history.hear([whole()[index].clone()].into()).expect("kept");
            // Whoever is asked in between has answered by what was known then.
            let _ = look(&history);
        }
        seen.push(look(&history));
        // What was heard is there after a restart.
        assert_eq!(member(&settings, folder.path()).entries(), whole().into_iter().collect());
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
    assert!(seen[0].3 && seen[0].0.len() == 3, "{:?}", seen[0]);
}

#[test]
fn requests_have_the_same_names_whoever_was_heard_of_first() {
    let settings = Settings::of_tests(NodeKind::Master);
    let names = |entries: Vec<Entry>| {
        let folder = tempfile::tempdir().expect("folder");
        let history = member(&settings, folder.path());
        history.hear(entries.into_iter().collect()).expect("kept");
        let requests = history.lock().state.certificate_requests(Duration::from_secs(120));
        let of_one = requests.into_iter().filter(|request| request.common_name.contains("master-1"));
        of_one.map(|request| request.name).collect::<Vec<_>>()
    };
    let all = whole();
    assert_eq!(names(all.clone()), names(vec![all[0].clone(), all[2].clone()]));
    assert_eq!(names(all).len(), 2);
}

#[test]
fn a_pool_is_served_with_the_program_in_the_kubelets_place() {
    let settings = Settings::of_tests(NodeKind::Bootstrap);
    for (name, has_keys) in [("master", true), ("worker", false)] {
        let config: serde_json::Value =
            serde_json::from_str(&pool::config(&settings, name).expect("a pool")).expect("JSON");
        let files = config["storage"]["files"].as_array().expect("files");
        let told = files.iter().find(|file| file["path"] == "/etc/harmony-sim/node.json").expect("told");
        let source = told["contents"]["source"].as_str().and_then(|url| url.split_once(',')).expect("a URL").1;
        let told = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, source).expect("base64");
        let told: Settings = serde_json::from_slice(&told).expect("settings");
        assert_eq!((told.kind.to_string().as_str(), told.keys().is_some()), (name, has_keys));
        assert!(
            has_keys || !String::from_utf8_lossy(&serde_json::to_vec(&told).expect("JSON")).contains("PRIVATE KEY")
        );
        let units = config["systemd"]["units"].as_array().expect("units");
        let kubelets: Vec<_> = units.iter().filter(|unit| unit["name"] == "kubelet.service").collect();
        assert_eq!(kubelets.len(), 1);
        assert!(kubelets[0]["contents"].as_str().expect("text").contains("kubelet.sh"));
    }
    assert_eq!(pool::config(&settings, "infra"), None);
}
