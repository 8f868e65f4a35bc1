//! What has come to a cluster, as far as a member knows, and the state that follows from it.
//!
//! Inputs are a set: two members that know the same ones have the same state, whoever heard of what first. What a member
//! hears of late has its place in time all the same, so the state is made anew then; there are some dozens of inputs.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::settings::{STATE, Settings, write};
use super::{Failure, pool};
use crate::cluster::{ClusterSpec, ClusterState, Input, MachineConfigReply, NoRequest, Server};
use crate::wire::kubernetes::ClusterAccess;

/// An input, when it came, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Milliseconds of the cluster's time.
    pub(super) at_ms: u64,
    /// The member that it came to, by its name in full.
    pub(super) by: String,
    /// That member's address.
    pub(super) address: IpAddr,
    pub(super) input: Input,
}

/// What a member knows.
pub(super) struct History {
    settings: Settings,
    path: PathBuf,
    known: Mutex<Known>,
}

struct Known {
    spec: ClusterSpec,
    entries: BTreeSet<Entry>,
    state: ClusterState,
    /// This member: its name and address, once it has one.
    own: Option<(String, IpAddr)>,
    /// Until when what happened has been said.
    said: Duration,
}

impl Known {
    /// Makes the state of the entries.
    fn fold(&mut self) {
        let mut state = ClusterState::new(self.spec.clone());
        for entry in &self.entries {
            // A request that is not there any more, or not yet: whoever approved it sees it pending, and does it again.
            let _ = state.take(Duration::from_millis(entry.at_ms), &entry.input);
        }
        self.state = state;
    }
}

impl History {
    /// What this member knew when it last ran.
    pub(super) fn open(settings: &Settings) -> Result<Self, Failure> {
        Self::at(settings, Path::new(STATE))
    }

    fn at(settings: &Settings, folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("history.json");
        let entries = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeSet::new(),
            Err(error) => return Err(format!("failed to read {}: {error}", path.display()).into()),
        };
        let spec = settings.spec();
        let state = ClusterState::new(spec.clone());
        let mut known = Known { spec, entries, state, own: None, said: Duration::ZERO };
        known.fold();
        Ok(Self { settings: settings.clone(), path, known: Mutex::new(known) })
    }

    /// Names this member.
    pub(super) fn is_of(&self, name: &str, address: IpAddr) {
        self.lock().own = Some((name.to_owned(), address));
    }

    /// Everything that is known.
    pub(super) fn entries(&self) -> BTreeSet<Entry> {
        self.lock().entries.clone()
    }

    /// Takes note of what another member knows.
    pub(super) fn hear(&self, entries: BTreeSet<Entry>) -> Result<(), Failure> {
        let mut known = self.lock();
        let before = known.entries.len();
        known.entries.extend(entries);
        if known.entries.len() == before {
            return Ok(());
        }
        known.fold();
        self.keep(&known)
    }

    /// Something has come to this member, now.
    pub(super) fn came(&self, input: Input) -> Result<(), Failure> {
        let mut known = self.lock();
        let Some((by, address)) = known.own.clone() else { return Err("it has no address yet".into()) };
        known.entries.insert(Entry { at_ms: self.settings.now_ms(), by, address, input });
        known.fold();
        self.keep(&known)
    }

    fn keep(&self, known: &Known) -> Result<(), Failure> {
        write(&self.path, &serde_json::to_vec(&known.entries)?)
    }

    /// Asks the state as it is now.
    pub(super) fn ask<R>(&self, work: impl FnOnce(&mut ClusterState, Duration) -> R) -> R {
        let now = Duration::from_millis(self.settings.now_ms());
        let mut known = self.lock();
        let answer = work(&mut known.state, now);
        let said = known.said;
        // A state that was made anew tells all of it again.
        for (at, note) in known.state.take_notes().into_iter().filter(|(at, _)| *at > said) {
            eprintln!("simulated-node: {:.1} s: {note}", at.as_secs_f64());
            known.said = known.said.max(at);
        }
        answer
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClusterAccess for History {
    fn with(&self, work: &mut dyn FnMut(&mut ClusterState, Duration)) {
        self.ask(|state, now| work(state, now));
    }

    fn take(&self, input: Input) -> Result<(), NoRequest> {
        if let Input::Approve(name) | Input::Deny(name) = &input
            && !self.ask(|state, now| state.certificate_requests(now)).iter().any(|request| request.name == *name)
        {
            return Err(NoRequest(name.clone()));
        }
        if let Err(error) = self.came(input) {
            eprintln!("simulated-node: {error}");
        }
        Ok(())
    }

    fn machine_config(&self, server: &Server, pool: &str) -> Option<MachineConfigReply> {
        let reply = self.ask(|state, now| state.machine_config(now, server, pool))?;
        let body = if reply.status == 200 { pool::config(&self.settings, pool)? } else { reply.body };
        Some(MachineConfigReply { body, ..reply })
    }
}

#[cfg(test)]
mod tests;
