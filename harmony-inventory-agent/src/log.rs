//! What the agent says while it runs: lines on standard error.
//!
//! Not `eprintln!`, which ends the program when whoever read its lines is gone.

use std::fmt;
use std::io::Write;

/// Says one line, to whoever still listens.
pub fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
