//! Runs in which chance decides everything, by a seed: the rack, the faults, when the runner is killed,
//! when a person stops it. In the end, left alone, everything must be as wanted, and no rule broken.

mod misfortune;

use std::fmt;
use std::time::Duration;

use harmony_core::event::Outcome;
use harmony_core::host::Lifecycle;
use harmony_sim::Append;

use crate::chance::Chance;
use crate::kill::At;
use crate::site::Site;
use misfortune::Faults;

/// How many runs may come to grief before the site is left alone.
const MAX_TROUBLED: u64 = 4;
/// How many runs it may take then: one that finds what the last fault left, and one that repairs it.
const MAX_LEFT_ALONE: usize = 3;
/// The journal entry by which a run is killed or stopped, if it lives so long.
const LATEST_ENTRY: u64 = 300;

/// What came of a seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What happened to the runs, one line each.
    pub runs: Vec<String>,
    /// All journals, as JSON lines.
    pub journals: String,
    /// The world's log.
    pub log: String,
}

/// What is not as it should be.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What.
    pub what: String,
    /// What led there.
    pub told: Told,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {}\n{}\n", self.seed, self.what, self.told.runs.join("\n"))?;
        write!(f, "replay it: cargo xtask soak --seed {}", self.seed)
    }
}

/// Lives through one seed.
///
/// # Errors
/// If a rule was broken, or the end is not as wanted.
pub async fn live_through(seed: u64) -> Result<Told, Box<Failure>> {
    let mut chance = Chance::of(seed);
    let site = Site::of(misfortune::rack(&mut chance));
    let mut runs = Vec::new();
    let judged = match trouble(&site, &mut chance, &mut runs).await {
        Ok(clean) => leave_alone(&site, clean, &mut runs).await,
        Err(what) => Err(what),
    };
    let told = Told { runs, journals: site.journals().await, log: site.world.log() };
    match judged {
        Ok(()) => Ok(told),
        Err(what) => Err(Box::new(Failure { seed, what, told })),
    }
}

/// Runs that are killed and stopped, with faults in force. Whether nothing of them is left that only
/// a person can put right.
async fn trouble(site: &Site, chance: &mut Chance, runs: &mut Vec<String>) -> Result<bool, String> {
    let mut clean = true;
    for _ in 0..=chance.below(MAX_TROUBLED) {
        let faults = Faults::choose(site, chance);
        let entry = chance.below(LATEST_ENTRY) + 1;
        let (what, end) = match chance.below(4) {
            0 | 1 => {
                let moment = *chance.pick(&[Append::Before, Append::After]);
                let at = At { entry, moment };
                (format!("killed {at}"), site.apply_killed(at).await)
            }
            2 => (format!("stopped at entry {entry}"), site.apply_stopped(entry).await),
            _ => ("until its end".to_owned(), site.apply_or_killed_by_fault().await),
        };
        runs.push(format!("{what}, with {}: {end:?}", faults.told()));
        clean &= !faults.need_person();
        drop(faults);
        unbroken(site)?;
        let pause = Duration::from_secs(chance.below(300));
        site.world.until(pause, |_| false).await;
    }
    Ok(clean)
}

/// Runs without any fault: they break no rule; and unless a person has to put something right, they
/// come to the wanted end, and then write nothing more.
async fn leave_alone(site: &Site, clean: bool, runs: &mut Vec<String>) -> Result<(), String> {
    let mut outcome = site.apply().await;
    for _ in 1..if clean { MAX_LEFT_ALONE } else { 1 } {
        runs.push(format!("left alone: {outcome:?}"));
        if outcome == Outcome::Converged {
            break;
        }
        outcome = site.apply().await;
    }
    runs.push(format!("at last: {outcome:?}"));
    unbroken(site)?;
    no_secret_told(site).await?;
    if outcome != Outcome::Converged {
        return if clean { Err("it did not come to its end when left alone".to_owned()) } else { Ok(()) };
    }
    for host in site.hosts().await {
        if host.lifecycle != Lifecycle::Provisioned {
            return Err(format!("{} is {}", host.label(), host.lifecycle));
        }
    }
    for machine in site.world.machines() {
        if !(machine.reachable && machine.order.is_some() && machine.installs > 0) {
            return Err(format!("{} is not an installed, bonded node: {machine:?}", machine.name));
        }
    }
    let writes = site.world.writes().len();
    let outcome = site.apply().await;
    if outcome != Outcome::Converged || site.world.writes().len() != writes {
        return Err(format!("one more run wrote {:?}: {outcome:?}", &site.world.writes()[writes..]));
    }
    unbroken(site)
}

fn unbroken(site: &Site) -> Result<(), String> {
    let violations = site.world.violations();
    if violations.is_empty() { Ok(()) } else { Err(format!("rules were broken: {violations:?}")) }
}

/// No secret is in a journal or the world's log.
async fn no_secret_told(site: &Site) -> Result<(), String> {
    for text in [site.journals().await, site.world.log()] {
        site.world.check_output(&text).await;
    }
    unbroken(site)
}
