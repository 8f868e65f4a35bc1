//! `harmony tui`: the site on the screen, or a run that is over, shown again.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use harmony_core::event::Record;
use harmony_core::score::AnyScore;
use harmony_core::store::RunId;
use harmony_scores::InventoryScore;
use harmony_topologies::site::SiteTopology;
use harmony_tui::{Lines, Look};

use crate::run::{output, run_in_tui};
use crate::{CommandError, open_inventory, open_site};

/// The longest journal file that is read, in bytes.
const MAX_JOURNAL: u64 = 1 << 30;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  harmony tui                            watch the site; roles are assigned here
  harmony tui --replay 3                 run 3 of the site's journal, as it went
  harmony tui --replay run.jsonl --speed 8
While a run is replayed: Space pauses, + and - change the speed, n goes to the next event.
Where there is no terminal, a replay is printed as lines.")]
pub(super) struct TuiArguments {
    /// Show a run again: a file of events as `--json` prints them, or the number of a run of this site.
    #[arg(long, value_name = "JOURNAL")]
    replay: Option<PathBuf>,
    /// How many times as fast as it went.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024), requires = "replay")]
    speed: u32,
}

pub(super) async fn run(site: &Path, arguments: TuiArguments) -> Result<ExitCode, CommandError> {
    match arguments.replay {
        Some(journal) => replay(records(site, &journal).await?, arguments.speed).await,
        None => watch(site).await,
    }
}

/// Hosts are discovered, roles can be assigned; nothing is installed.
async fn watch(site: &Path) -> Result<ExitCode, CommandError> {
    let (inventory, topology) = open_site(site).await?;
    let scores: Vec<Box<dyn AnyScore<SiteTopology>>> = vec![Box::new(InventoryScore::watching())];
    run_in_tui(inventory, topology, scores).await
}

async fn replay(records: Vec<Record>, speed: u32) -> Result<ExitCode, CommandError> {
    if harmony_tui::is_terminal() {
        harmony_tui::replay(records, speed, Look::from_env()).await.map_err(CommandError::from_error)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut lines = Lines::default();
    for line in records.iter().filter_map(|record| lines.line(record)) {
        output::print(&(line + "\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The records of a file, or of a run of the site.
async fn records(site: &Path, journal: &Path) -> Result<Vec<Record>, CommandError> {
    let number = journal.to_str().and_then(|text| text.parse().ok());
    if let Some(number) = number.filter(|_| !journal.exists()) {
        let store = open_inventory(site).await?;
        if !store.runs().await?.iter().any(|run| run.id == RunId(number)) {
            return Err(CommandError::new(format!("there is no run {number}")).hint("`harmony journal` lists them"));
        }
        return Ok(store.journal(RunId(number)).await?);
    }
    let failed = |error| {
        CommandError::new(format!("failed to read {}: {error}", journal.display()))
            .hint("name a file that `apply --json` or `journal RUN --json` printed, or a run's number")
    };
    let size = std::fs::metadata(journal).map_err(failed)?.len();
    if size > MAX_JOURNAL {
        return Err(CommandError::new(format!("{} has {size} bytes, which is no journal", journal.display())));
    }
    parse(&std::fs::read_to_string(journal).map_err(failed)?, journal)
}

/// One record a line. The last line may be torn: its writer was killed.
fn parse(text: &str, journal: &Path) -> Result<Vec<Record>, CommandError> {
    let mut records = Vec::new();
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).peekable();
    while let Some((at, line)) = lines.next() {
        match serde_json::from_str(line) {
            Ok(record) => records.push(record),
            Err(error) if error.is_eof() && lines.peek().is_none() && !records.is_empty() => {
                eprintln!("the last line of {} is torn; it is left out", journal.display());
            }
            Err(error) => {
                return Err(CommandError::new(format!("{}, line {}: no event: {error}", journal.display(), at + 1))
                    .hint("docs/reference/events.md tells what a line holds"));
            }
        }
    }
    if records.is_empty() {
        return Err(CommandError::new(format!("{} holds no event", journal.display())));
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"seq":1,"at":"2026-01-01T00:00:00Z","event":"score_started","score":"Inventory"}"#;

    #[test]
    fn a_torn_last_line_is_left_out_and_any_other_named() {
        let path = Path::new("run.jsonl");
        assert_eq!(parse(&format!("{LINE}\n\n{LINE}\n{}", &LINE[..40]), path).expect("readable").len(), 2);
        let error = parse(&format!("{LINE}\nnonsense\n{LINE}"), path).expect_err("line 2").to_string();
        assert!(error.starts_with("run.jsonl, line 2: no event"), "{error}");
        assert!(parse("", path).expect_err("empty").to_string().contains("holds no event"));
        assert!(parse(&LINE[..40], path).is_err(), "nothing whole before it");
    }
}
