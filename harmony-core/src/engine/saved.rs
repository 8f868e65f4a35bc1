//! A plan in a file, that can be read, signed, and applied only to the world it was made for (P2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::score::{Plan, render};

/// The file format that this program writes and reads.
const FORMAT: &str = "harmony-plan/v1";

/// The plan of one Score, with the facts that it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScorePlan {
    /// The Score.
    pub score: String,
    /// What was observed.
    pub facts: BTreeMap<String, String>,
    /// What is to be done.
    pub plan: Plan<Value>,
}

/// A plan file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedPlan {
    format: String,
    site: String,
    scores: Vec<ScorePlan>,
    /// SHA-256 of all the rest, lower-case hex: what a person signs.
    digest: String,
}

/// Why a saved plan is refused.
#[derive(Debug, thiserror::Error)]
pub enum SavedPlanError {
    /// The file is no plan.
    #[error("the plan file cannot be understood (make it with `plan --out FILE`)")]
    Unreadable(#[source] serde_json::Error),
    /// Another program version wrote it.
    #[error("the plan file has format `{found}`, this program reads `{FORMAT}`: make the plan again")]
    Format {
        /// The format found.
        found: String,
    },
    /// It was changed after it was made.
    #[error("the plan file was edited: its digest is not {stated}; make the plan again with `plan --out FILE`")]
    Edited {
        /// The digest in the file.
        stated: String,
    },
    /// It was made for another site.
    #[error("the plan was made for site `{planned}`, this is `{here}`")]
    OtherSite {
        /// Its site.
        planned: String,
        /// This site.
        here: String,
    },
    /// Something is not as it was when the plan was made.
    #[error("the world has moved since the plan was made:\n{}\nmake the plan again with `plan --out FILE`", .0.join("\n"))]
    Moved(Vec<String>),
}

impl SavedPlan {
    /// Makes a plan file's content.
    #[must_use]
    pub fn new(site: &str, scores: Vec<ScorePlan>) -> Self {
        let mut plan = Self { format: FORMAT.to_owned(), site: site.to_owned(), scores, digest: String::new() };
        plan.digest = plan.compute_digest();
        plan
    }

    fn compute_digest(&self) -> String {
        let content = serde_json::json!({ "format": self.format, "site": self.site, "scores": self.scores });
        Sha256::digest(content.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What a person signs.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The plans in it.
    #[must_use]
    pub fn scores(&self) -> &[ScorePlan] {
        &self.scores
    }

    /// The file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// If it is no plan of this format, or was edited.
    pub fn parse(text: &str) -> Result<Self, SavedPlanError> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
        }
        let head: Head = serde_json::from_str(text).map_err(SavedPlanError::Unreadable)?;
        if head.format != FORMAT {
            return Err(SavedPlanError::Format { found: head.format });
        }
        let plan: Self = serde_json::from_str(text).map_err(SavedPlanError::Unreadable)?;
        if plan.compute_digest() != plan.digest {
            return Err(SavedPlanError::Edited { stated: plan.digest });
        }
        Ok(plan)
    }

    /// The plan as text for people, with its digest.
    #[must_use]
    pub fn render(&self) -> String {
        let plans: Vec<String> = self.scores.iter().map(|p| render(&p.score, &p.plan)).collect();
        format!("site {}\n\n{}\ndigest {}\n", self.site, plans.join("\n"), self.digest)
    }

    /// The actions of a Score's steps, by key.
    pub(crate) fn steps_of(&self, score: &str) -> BTreeMap<String, Value> {
        let plans = self.scores.iter().filter(|plan| plan.score == score);
        plans.flat_map(|p| p.plan.steps.iter().map(|step| (step.key.clone(), step.action.clone()))).collect()
    }

    /// Refuses unless the world still gives this plan; names what has moved.
    ///
    /// # Errors
    /// [`SavedPlanError::Moved`] or [`SavedPlanError::OtherSite`].
    pub fn check(&self, site: &str, now: &[ScorePlan]) -> Result<(), SavedPlanError> {
        if site != self.site {
            return Err(SavedPlanError::OtherSite { planned: self.site.clone(), here: site.to_owned() });
        }
        let mut moved = Vec::new();
        for was in &self.scores {
            let Some(is) = now.iter().find(|plan| plan.score == was.score) else {
                moved.push(format!("{}: no longer part of the program", was.score));
                continue;
            };
            let names: std::collections::BTreeSet<&String> = was.facts.keys().chain(is.facts.keys()).collect();
            for name in names {
                let (before, after) = (was.facts.get(name), is.facts.get(name));
                if before != after {
                    let show = |fact: Option<&String>| fact.map_or_else(|| "absent".to_owned(), Clone::clone);
                    moved.push(format!("{name} was {}, is {}", show(before), show(after)));
                }
            }
            if moved.is_empty() && was.plan.steps != is.plan.steps {
                moved.push(format!("{}: its steps differ, although no fact that it names does", was.score));
            }
        }
        if moved.is_empty() { Ok(()) } else { Err(SavedPlanError::Moved(moved)) }
    }
}
