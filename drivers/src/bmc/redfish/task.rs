//! Work that the BMC goes on with after it has answered: followed to its end, within a limit.
//!
//! Source: DSP0266 clause "Asynchronous operations"; DSP8010 `Task.TaskState`. iDRAC answers with jobs,
//! which are tasks by another name.

use reqwest::StatusCode;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::client::Answer;
use super::error::RedfishError;
use super::quirks::Quirks;
use super::resource::{ResourcePath, Task, shown};
use super::session::Session;

/// What a task's state says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Goes,
    Done,
    Failed,
}

fn progress(state: &str, quirks: Quirks) -> Progress {
    match state {
        "Completed" => Progress::Done,
        "Exception" | "Killed" | "Cancelled" | "Interrupted" | "Failed" | "CompletedWithErrors" => Progress::Failed,
        "Pending" | "Scheduled" if quirks.jobs_wait_for_a_restart() => Progress::Done,
        _ => Progress::Goes,
    }
}

/// Waits for what a write's answer says goes on. What it did is for the caller to read back.
pub(super) async fn wait(session: &mut Session, answer: &Answer, quirks: Quirks) -> Result<(), RedfishError> {
    let (StatusCode::ACCEPTED, Some(location)) = (answer.status, &answer.location) else { return Ok(()) };
    let patience = session.patience();
    let path = ResourcePath::of_location(location)
        .map_err(|source| RedfishError::Location { path: ResourcePath::root(), source })?;
    let started = Instant::now();
    let mut pause = answer.retry_after.unwrap_or(patience.pause).min(patience.longest_pause);
    loop {
        sleep(pause).await;
        let now = match session.get(&path).await {
            Ok(now) => now,
            // A monitor may be gone once the task has ended.
            Err(error) if matches!(error.status(), Some(StatusCode::NOT_FOUND | StatusCode::GONE)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let task = Task::deserialize(&now.body).unwrap_or_default();
        match (task.state(), now.status) {
            (Some(state), _) => match progress(state, quirks) {
                Progress::Done => return Ok(()),
                Progress::Failed => {
                    return Err(RedfishError::Task { path, state: shown(state, 40), messages: task.messages() });
                }
                Progress::Goes => {}
            },
            (None, StatusCode::ACCEPTED) => {}
            (None, _) => return Ok(()),
        }
        if started.elapsed() >= patience.follow {
            return Err(RedfishError::TaskTimedOut { path, after: patience.follow });
        }
        pause = now.retry_after.unwrap_or(patience.pause).min(patience.longest_pause);
    }
}

#[cfg(test)]
mod tests {
    use super::super::quirks::Vendor;
    use super::*;

    #[test]
    fn states() {
        let (dell, other) = (Quirks::named(Vendor::Dell), Quirks::named(Vendor::Other));
        assert_eq!(progress("Completed", other), Progress::Done);
        assert_eq!(progress("Exception", other), Progress::Failed);
        assert_eq!(progress("Running", other), Progress::Goes);
        assert_eq!((progress("Pending", other), progress("Pending", dell)), (Progress::Goes, Progress::Done));
    }
}
