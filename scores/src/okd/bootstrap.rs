//! `OkdSetup02Bootstrap`: what the machines need is there, and the bootstrap serves masters what they ask for.
//!
//! Masters are booted when the bootstrap *serves*, not when it is complete: it completes only once they run the control
//! plane. Source: `docs/guides/okd-what-the-epic-said.md`.

use harmony_core::boot::choice::Cabling;
use harmony_core::capability::Artefacts;
use harmony_core::cluster::NodeKind;
use harmony_core::cluster::choice::link_of;
use harmony_core::cluster::endpoints::ClusterPhase;
use harmony_core::cluster::preflight::Finding;
use harmony_core::error::{DeviceError, FailureKind};
use harmony_core::score::{Bound, Change, Plan, ScoreError};

use super::action::{Member, OkdAction};
use super::cluster::{Links, Okd, is_kept_by_role};
use super::observe::{Installer, Observed};
use super::plan::{Builder, Draft};
use super::preflight;

pub(super) fn plan(okd: &Okd, seen: &Observed) -> Result<Plan<OkdAction>, ScoreError> {
    let mut builder = Builder::new(okd, seen);
    if seen.is_bootstrapped {
        return Ok(builder.plan);
    }
    let Some(installer) = &seen.installer else {
        builder.wait_for("installer", "the installer program to say what it installs", None);
        return Ok(builder.plan);
    };
    same_installer(okd, seen, installer)?;
    let findings = preflight::findings(okd, seen);
    preflight::refuse(okd, &findings)?;
    let mut ready = fetch(&mut builder, installer);
    let addresses = builder.reserve();
    let made = artefacts(&mut builder, &findings)?;
    let Some(names) = builder.names_and_services(ClusterPhase::Bootstrapping, &addresses)? else {
        return Ok(builder.plan);
    };
    ready.extend(names);
    let Some(made) = made else { return Ok(builder.plan) };
    let up = builder.provision(NodeKind::Bootstrap, made, &ready, &[])?;
    if seen.is_serving {
        return Ok(builder.plan);
    }
    let Some(bootstrap) = okd.bootstrap() else { return Ok(builder.plan) };
    let Some(address) = seen.address(okd, &bootstrap.role) else { return Ok(builder.plan) };
    let text = format!("API and machine config server at {address}");
    builder.step(Draft {
        what: "serving".to_owned(),
        target: builder.cluster(),
        sentence: format!("wait until {} serves masters what they ask for", bootstrap.hostname),
        changes: vec![Change::Wait { text }],
        after: up,
        bound: Bound::new(1, okd.limits.serving_s),
        one_shot: false,
        action: OkdAction::AwaitServing { bootstrap: Member { name: bootstrap.hostname.clone(), address } },
    });
    Ok(builder.plan)
}

/// Refuses another installer program than the one that made what hosts were given: it boots them with other images.
fn same_installer(okd: &Okd, seen: &Observed, installer: &Installer) -> Result<(), ScoreError> {
    let Some(made) = seen.artefacts.as_ref().filter(|made| made.installer != installer.version) else { return Ok(()) };
    let users = users(okd, seen, made);
    if users.is_empty() {
        return Ok(());
    }
    let what = format!(
        "the installer program is {} now, and {} were installed with what {} made",
        installer.version.version,
        users.join(", "),
        made.installer.version
    );
    let hint = "give the site's [installer] the program again that the cluster was begun with";
    Err(DeviceError::new(FailureKind::Conflict, what).hint(hint).into())
}

/// The files of the release that the boot server must offer.
fn fetch(builder: &mut Builder<'_>, installer: &Installer) -> Vec<String> {
    let mut keys = Vec::new();
    for (file, path) in &installer.missing {
        let name = path.rsplit('/').next().unwrap_or(path);
        keys.push(builder.step(Draft {
            what: format!("asset-{name}"),
            target: format!("boot file /os/{path}"),
            sentence: format!("fetch {}", file.location),
            changes: vec![Change::File {
                path: format!("/os/{path}"),
                before: None,
                after: Some(format!("SHA-256 {}", file.sha256)),
            }],
            after: Vec::new(),
            bound: Bound::new(3, 3600),
            one_shot: false,
            action: OkdAction::FetchAsset { from: file.clone(), path: path.clone() },
        }));
    }
    keys
}

/// What the installer made, if it is what is wanted and still good; otherwise the step that makes it, or what a person must decide.
fn artefacts<'a>(builder: &mut Builder<'a>, findings: &[Finding]) -> Result<Option<&'a Artefacts>, ScoreError> {
    let (okd, seen) = (builder.okd, builder.seen);
    let Some(links) = links(builder) else { return Ok(None) };
    let input = okd.installer_input(&seen.source, &links)?;
    let digest = input.digest();
    let (generation, why) = match &seen.artefacts {
        None => (1, None),
        Some(made) => {
            let users = users(okd, seen, made);
            let stale = if made.input != digest {
                Some("the description has changed since they were made".to_owned())
            } else if made.expires_at <= seen.hosts.now {
                Some(format!("their certificates expired at {:.0}", made.expires_at))
            } else {
                None
            };
            match stale {
                None => return Ok(Some(made)),
                Some(why) if users.is_empty() => (made.generation + 1, Some(why)),
                Some(why) => {
                    let what = format!(
                        "generation {} of the artefacts of cluster {} cannot be used any more: {why}; {} had them already",
                        made.generation,
                        okd.name(),
                        users.join(", ")
                    );
                    let hint = "new ones make another cluster. Put the description back; or take the roles of these hosts away \
                                (harmony host unassign HOST), which wipes them, and begin again";
                    return Err(DeviceError::new(FailureKind::Conflict, what).hint(hint).into());
                }
            }
        }
    };
    let because = why.map_or_else(String::new, |why| format!(", because {why} and no host has them"));
    let file =
        |path: &str, text: &str| Change::File { path: path.to_owned(), before: None, after: Some(text.to_owned()) };
    let advice = |finding: &Finding| Change::Record { name: "preflight".to_owned(), text: finding.to_string() };
    let mut changes: Vec<Change> = findings.iter().map(advice).collect();
    changes.push(file("install-config.yaml", &input.install_config));
    changes.extend(input.manifests.iter().map(|manifest| file(&manifest.path, &manifest.text)));
    builder.step(Draft {
        what: format!("artefacts-{generation}"),
        target: builder.cluster(),
        sentence: format!(
            "have the installer make what the machines of {} are given (generation {generation}){because}",
            okd.name()
        ),
        changes,
        after: Vec::new(),
        bound: Bound::new(2, 300),
        one_shot: false,
        action: OkdAction::MakeArtefacts { input, generation },
    });
    builder.wait_for("machines", "what the installer makes for the machines", None);
    Ok(None)
}

/// How the hosts are attached whose bonds a MachineConfig keeps; `None` while one of them is not known.
fn links(builder: &mut Builder<'_>) -> Option<Links> {
    let (okd, seen) = (builder.okd, builder.seen);
    let network = &seen.hosts.network;
    let pairs: Vec<_> = network.mlag.iter().map(|pair| pair.iter().cloned().collect()).collect();
    let cabling = Cabling { host_ports: &network.host_ports, pairs: &pairs };
    let mut links = Links::new();
    for plan in okd.plans.iter().filter(|plan| is_kept_by_role(plan)) {
        // As it was ordered, if it was: NICs that are replaced later change nothing of what was made.
        let ordered = seen.hosts.order_of(&plan.role).map(|order| order.link.clone());
        let link = ordered.map(Ok).or_else(|| {
            let host = seen.hosts.host_with(&plan.role)?;
            Some(link_of(plan, host, &cabling).map(|(link, _)| link))
        });
        match (link, seen.address(okd, &plan.role)) {
            (Some(Ok(link)), Some(address)) => {
                links.insert(plan.role.clone(), (link, address));
            }
            (Some(Err(undecided)), _) => {
                builder.wait_for("links", undecided.waits_for, Some(&undecided.hint));
                return None;
            }
            _ => {
                builder.wait_for("links", format!("a host with an address for the role {}", plan.role), None);
                return None;
            }
        }
    }
    Some(links)
}

/// Hosts that were given something of these artefacts.
fn users(okd: &Okd, seen: &Observed, made: &Artefacts) -> Vec<String> {
    let had = |order: &&harmony_core::boot::Order| {
        order.issued_at >= made.made_at && order.state >= harmony_core::boot::OrderState::Answered
    };
    let of = |role| seen.hosts.order_of(role).filter(had).map(|order| order.hostname.to_string());
    okd.plans.iter().filter_map(|plan| of(&plan.role)).collect()
}
