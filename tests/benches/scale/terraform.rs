//! What Terraform takes to plan nothing over as many of its simplest resources, where it is installed.
//!
//! `terraform_data` is built in: it needs no provider, no network and no device, so that what is measured is
//! Terraform's own work. Its state is written here, because `apply` takes far longer than what is measured.
//! Source: <https://developer.hashicorp.com/terraform/language/resources/terraform-data>.

use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

/// How long `terraform plan` takes when all is as wanted; none without Terraform.
///
/// # Errors
/// In words.
pub(crate) fn plan(resources: usize) -> Result<Option<Duration>, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let write =
        |name: &str, text: String| std::fs::write(folder.path().join(name), text).map_err(|error| error.to_string());
    write(
        "main.tf",
        format!("resource \"terraform_data\" \"thing\" {{\n  count = {resources}\n  input = count.index\n}}\n"),
    )?;
    match terraform(folder.path(), &["init", "-input=false"]) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        done => check(done)?,
    }
    write("terraform.tfstate", state(resources))?;
    let begun = Instant::now();
    // Its exit code is 2 if anything is to be done.
    check(terraform(folder.path(), &["plan", "-detailed-exitcode", "-input=false"]))?;
    Ok(Some(begun.elapsed()))
}

/// What `terraform apply` would have left. Source: a state of version 4, as Terraform 1.11 writes it.
fn state(resources: usize) -> String {
    let value = |index: usize| json!({ "value": index, "type": "number" });
    let instance = |index: usize| {
        json!({
            "index_key": index,
            "schema_version": 0,
            "attributes": {
                "id": format!("00000000-0000-0000-0000-{index:012}"),
                "input": value(index),
                "output": value(index),
                "triggers_replace": null,
            },
            "sensitive_attributes": [],
        })
    };
    let resource = json!({
        "mode": "managed",
        "type": "terraform_data",
        "name": "thing",
        "provider": "provider[\"terraform.io/builtin/terraform\"]",
        "instances": (0..resources).map(instance).collect::<Vec<_>>(),
    });
    let state = json!({
        "version": 4,
        "terraform_version": "1.11.4",
        "serial": 1,
        "lineage": "00000000-0000-0000-0000-000000000000",
        "outputs": {},
        "resources": [resource],
    });
    state.to_string()
}

fn terraform(folder: &Path, args: &[&str]) -> io::Result<Output> {
    let mut command = Command::new("terraform");
    command.args(args).current_dir(folder).env("CHECKPOINT_DISABLE", "1").stdin(Stdio::null()).output()
}

fn check(done: io::Result<Output>) -> Result<(), String> {
    let output = done.map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
