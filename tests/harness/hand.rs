//! A hand in a run: it does one step twice, keeps it from happening, loses its reply, kills the run
//! there, or changes the world between the plan and the step.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use harmony_core::capability::PortMode;
use harmony_core::error::{DeviceError, FailureKind};
use harmony_core::event::Event;
use harmony_core::host::Role;
use harmony_core::net::PortRef;
use harmony_core::score::{AnyScore, Assessment, Context, Recovery, ScoreError, StepContext};
use harmony_sim::{Append, OnAppend, SimTopology, World};
use jiff::Timestamp;
use serde_json::Value;

use crate::kill::Killed;
use crate::site::Scores;

/// What is done to one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meddling {
    /// It is carried out twice.
    Repeat,
    /// It is not carried out, and said to have failed.
    FailBefore,
    /// It is carried out, and said to have failed: the reply was lost.
    FailAfter,
    /// It is not carried out, and never ends.
    HangBefore,
    /// It is carried out, and never ends.
    HangAfter,
    /// The run is killed before it.
    KillBefore,
    /// The run is killed after it.
    KillAfter,
}

impl Meddling {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Repeat,
        Self::FailBefore,
        Self::FailAfter,
        Self::HangBefore,
        Self::HangAfter,
        Self::KillBefore,
        Self::KillAfter,
    ];
}

/// The hand. Clones are one.
#[derive(Clone, Default)]
pub struct Hand(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Steps carried out so far.
    steps: usize,
    meddle: Option<(usize, Meddling)>,
    drift: Option<Drift>,
    /// Looks at the world so far.
    looks: u64,
    /// The steps of the last plan that expect a port to be in some mode.
    expecting: BTreeMap<String, (PortRef, String, Value)>,
}

/// A port that is changed by hand between the plan of a step and the step.
struct Drift {
    /// Which of the starts of steps that expect a port to be as it was.
    nth: usize,
    starts: usize,
    by_hand: PortMode,
    done: Option<Drifted>,
    /// The step was carried out without another look at the world.
    overwritten: bool,
}

struct Drifted {
    port: PortRef,
    action: Value,
    look: u64,
}

impl Hand {
    /// Watches, and counts steps.
    #[must_use]
    pub fn idle() -> Self {
        Self::default()
    }

    /// Meddles with the `nth` step that is carried out, counted from 1.
    #[must_use]
    pub fn meddling(nth: usize, how: Meddling) -> Self {
        let hand = Self::default();
        hand.with(|state| state.meddle = Some((nth, how)));
        hand
    }

    /// Changes a port to this mode when the `nth` step (counted from 1) that expects it to be as it was
    /// has just been started: after its plan, before its own look at the port.
    #[must_use]
    pub fn drifting(nth: usize, by_hand: PortMode) -> Self {
        let hand = Self::default();
        let drift = Drift { nth, starts: 0, by_hand, done: None, overwritten: false };
        hand.with(|state| state.drift = Some(drift));
        hand
    }

    /// Puts the hand into these Scores.
    pub(crate) fn over(&self, scores: Scores) -> Scores {
        let wrap = |inner| -> Box<dyn AnyScore<SimTopology>> { Box::new(Meddled { inner, hand: self.clone() }) };
        scores.into_iter().map(wrap).collect()
    }

    /// Puts the hand at the journal.
    pub(crate) fn at_journal(&self, world: &Arc<World>) -> OnAppend {
        let (hand, world) = (self.clone(), world.clone());
        Box::new(move |record, moment| {
            if let (Event::StepStarted { step, .. }, Append::After) = (&record.event, moment) {
                hand.drift(&world, step);
            }
        })
    }

    /// How many steps were carried out.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.with(|state| state.steps)
    }

    /// The port that was changed by hand, if any; and whether its step was carried out all the same,
    /// without another look at the world.
    #[must_use]
    pub fn drifted(&self) -> Option<(PortRef, bool)> {
        self.with(|state| {
            let drift = state.drift.as_ref()?;
            Some((drift.done.as_ref()?.port.clone(), drift.overwritten))
        })
    }

    fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts a step, and tells what is to be done to it.
    fn begin(&self, action: &Value) -> Option<Meddling> {
        self.with(|state| {
            state.steps += 1;
            if let Some(Drift { done: Some(drifted), overwritten, .. }) = &mut state.drift {
                *overwritten |= drifted.look == state.looks && drifted.action == *action;
            }
            state.meddle.filter(|(nth, _)| *nth == state.steps).map(|(_, how)| how)
        })
    }

    /// A look at the world ended in this plan.
    fn looked(&self, seen: &Assessment) {
        self.with(|state| {
            state.looks += 1;
            let expecting = seen.plan.steps.iter().filter_map(|step| {
                let (port, mode) = step
                    .expects
                    .iter()
                    .find_map(|(fact, was)| Some((fact.strip_prefix("port ")?.parse().ok()?, was)))?;
                Some((step.key.clone(), (port, mode.clone(), step.action.clone())))
            });
            state.expecting = expecting.collect();
        });
    }

    /// Changes a port that the step that was just started expects to be as it was.
    fn drift(&self, world: &World, step: &str) {
        self.with(|state| {
            let Some(drift) = state.drift.as_mut().filter(|drift| drift.done.is_none()) else { return };
            let Some((port, was, action)) = state.expecting.get(step) else { return };
            if *was == drift.by_hand.to_string() {
                return;
            }
            drift.starts += 1;
            if drift.starts == drift.nth {
                world.set_port_by_hand(port, drift.by_hand.clone());
                drift.done = Some(Drifted { port: port.clone(), action: action.clone(), look: state.looks });
            }
        });
    }
}

/// A Score with a hand in it.
struct Meddled {
    inner: Box<dyn AnyScore<SimTopology>>,
    hand: Hand,
}

fn silence() -> ScoreError {
    DeviceError::new(FailureKind::Unreachable, "failed to hear how the step ended").because("the reply is lost").into()
}

#[async_trait]
impl AnyScore<SimTopology> for Meddled {
    fn name(&self) -> String {
        self.inner.name()
    }

    async fn assess(&self, cx: &Context<'_, SimTopology>) -> Result<Assessment, ScoreError> {
        let assessment = self.inner.assess(cx).await?;
        self.hand.looked(&assessment);
        Ok(assessment)
    }

    async fn apply(&self, cx: &StepContext<'_, SimTopology>, action: &Value) -> Result<(), ScoreError> {
        let how = self.hand.begin(action);
        match how {
            Some(Meddling::FailBefore) => return Err(silence()),
            Some(Meddling::HangBefore) => std::future::pending().await,
            Some(Meddling::KillBefore) => Killed::now(),
            _ => {}
        }
        self.inner.apply(cx, action).await?;
        match how {
            Some(Meddling::Repeat) => self.inner.apply(cx, action).await,
            Some(Meddling::FailAfter) => Err(silence()),
            Some(Meddling::HangAfter) => std::future::pending().await,
            Some(Meddling::KillAfter) => Killed::now(),
            _ => Ok(()),
        }
    }

    async fn recover(
        &self,
        cx: &StepContext<'_, SimTopology>,
        action: &Value,
        since: Timestamp,
    ) -> Result<Recovery, ScoreError> {
        self.inner.recover(cx, action, since).await
    }

    async fn current_facts(
        &self,
        cx: &Context<'_, SimTopology>,
        names: &[String],
    ) -> Result<BTreeMap<String, String>, ScoreError> {
        self.inner.current_facts(cx, names).await
    }

    fn roles(&self) -> Vec<Role> {
        self.inner.roles()
    }

    fn poll_interval(&self) -> Duration {
        self.inner.poll_interval()
    }
}
