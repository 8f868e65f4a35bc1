//! Running the programs of which a rack is made, and waiting for what they make.
//!
//! Everything runs on this machine for a moment; nothing here knows what the programs mean.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::LabError;

/// Bytes of a failed program's output that its error keeps.
const KEPT_BYTES: usize = 600;

/// Runs a program to its end; its standard output.
pub(super) fn run(doing: impl Into<String>, command: &mut Command) -> Result<String, LabError> {
    run_with(doing, command, Stdio::null())
}

/// Runs a program with this as its standard input.
pub(super) fn run_with(doing: impl Into<String>, command: &mut Command, stdin: Stdio) -> Result<String, LabError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let doing = doing.into();
    let output = match command.stdin(stdin).output() {
        Ok(output) => output,
        Err(source) => return Err(LabError::Start { doing, program, source }),
    };
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let said = if stderr.trim().is_empty() { tail(&stdout) } else { tail(&stderr) };
    Err(LabError::Program { doing, program, status: output.status, stderr: said })
}

/// Whether a condition came true in time. It is looked at every 20 ms.
pub(super) fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The end of a log file, for an error.
pub(super) fn log_tail(path: &Path) -> String {
    match std::fs::read(path) {
        Ok(bytes) => tail(&String::from_utf8_lossy(&bytes)),
        Err(error) => format!("({}: {error})", path.display()),
    }
}

fn tail(text: &str) -> String {
    let text = text.trim();
    let mut start = text.len().saturating_sub(KEPT_BYTES);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text[start..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_the_program_said() {
        let error = run("try", Command::new("sh").args(["-c", "echo no room >&2; exit 3"])).expect_err("fails");
        assert_eq!(error.to_string(), "failed to try: `sh` ended with exit status: 3: no room");
        let error = run("try", &mut Command::new("/no/such/program")).expect_err("absent");
        assert_eq!(error.to_string(), "failed to try: cannot start `/no/such/program`");
    }

    #[test]
    fn only_the_end_of_a_long_text_is_kept() {
        let text = format!("{}end\n", "ä".repeat(1000));
        let kept = tail(&text);
        assert!(kept.len() <= KEPT_BYTES && kept.ends_with("äend"));
    }
}
