//! `harmony journal`: what runs did.

use std::path::Path;

use harmony_core::store::RunId;
use harmony_tui::Lines;

use super::json_text;
use crate::run::output;
use crate::summary::summary_of;
use crate::{CommandError, open_inventory};

pub(super) async fn run(site: &Path, json: bool, run: Option<i64>) -> Result<(), CommandError> {
    let store = open_inventory(site).await?;
    let runs = store.runs().await?;
    let Some(number) = run else {
        if json {
            return output::print(&json_text(&runs)?);
        }
        let mut text = format!("{:<5} {:<22} {:<12} PROGRAM\n", "RUN", "STARTED", "OUTCOME");
        for run in runs {
            let outcome = run.outcome.as_deref().unwrap_or("not ended");
            text.push_str(&format!(
                "{:<5} {:<22} {outcome:<12} {}\n",
                run.id.0,
                format!("{:.0}", run.started_at),
                run.program
            ));
        }
        return output::print(&text);
    };
    if !runs.iter().any(|run| run.id == RunId(number)) {
        return Err(CommandError::new(format!("there is no run {number}")).hint("`harmony journal` lists them"));
    }
    let records = store.journal(RunId(number)).await?;
    let mut lines = Lines::default();
    for record in &records {
        let line = if json {
            Some(serde_json::to_string(record).map_err(CommandError::from_error)?)
        } else {
            lines.line(record)
        };
        if let Some(line) = line {
            output::print(&(line + "\n"))?;
        }
    }
    if !json {
        eprint!("{}", summary_of(&records, &*store).await?);
    }
    Ok(())
}
