//! Work that goes on after an answer: done at once in truth, and told as done a little later.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::{Service, json as answer};

/// Where tasks are watched.
const MONITORS: &str = "/redfish/v1/TaskService/TaskMonitors";
/// How long a task takes, in world time.
const TAKES: Duration = Duration::from_secs(2);
/// Most tasks that are remembered.
const MAX_TASKS: usize = 64;

/// The tasks of a service.
#[derive(Default)]
pub(super) struct Tasks {
    made: usize,
    /// The latest ones, and when each is done; never, for one that waits for a restart.
    known: Vec<(usize, Option<Duration>)>,
}

/// Starts a task, and answers with where it is watched. One that waits for a restart is never done.
pub(super) fn start(service: &Service, waits_for_restart: bool) -> Response {
    let done = (!waits_for_restart).then(|| service.world.now() + TAKES);
    let id = service.own(|own| {
        own.tasks.made += 1;
        if own.tasks.known.len() == MAX_TASKS {
            own.tasks.known.remove(0);
        }
        own.tasks.known.push((own.tasks.made, done));
        own.tasks.made
    });
    let mut response = answer(StatusCode::ACCEPTED, &task(id, state(done, service.world.now())));
    if let Ok(location) = HeaderValue::from_str(&format!("{MONITORS}/{id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// A task's monitor, if this is the path of one.
pub(super) fn monitor(service: &Service, path: &str) -> Option<Result<Response, Refusal>> {
    let id: usize = path.strip_prefix(MONITORS)?.strip_prefix('/')?.parse().ok()?;
    let known = service.own(|own| own.tasks.known.iter().find(|(known, _)| *known == id).copied());
    let Some((_, done)) = known else {
        return Some(Err(Refusal::new(StatusCode::NOT_FOUND, "Base.1.4.ResourceMissingAtURI", path)));
    };
    let state = state(done, service.world.now());
    let status = if state == "Completed" { StatusCode::OK } else { StatusCode::ACCEPTED };
    Some(Ok(answer(status, &task(id, state))))
}

fn state(done: Option<Duration>, now: Duration) -> &'static str {
    match done {
        None => "Pending",
        Some(done) if done <= now => "Completed",
        Some(_) => "Running",
    }
}

fn task(id: usize, state: &str) -> Value {
    json!({
        "@odata.id": format!("/redfish/v1/TaskService/Tasks/{id}"), "@odata.type": "#Task.v1_4_3.Task",
        "Id": id.to_string(), "Name": format!("Task {id}"), "TaskMonitor": format!("{MONITORS}/{id}"),
        "TaskState": state, "TaskStatus": "OK",
    })
}
