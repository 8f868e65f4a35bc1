//! The `harmony` command: what belongs to a site rather than to one program.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    harmony::command::main().await
}
