//! Shows a run that is over, from its journal: `cargo run -p harmony-tui --example replay -- FILE [SPEED]`.
//!
//! FILE holds one record per line, as JSON. Where output is no terminal, plain lines are printed.

use std::error::Error;
use std::io::BufRead;

use harmony_core::event::Record;
use harmony_tui::{Lines, Look};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: replay FILE [SPEED]";
    let file = arguments.next().ok_or(usage)?;
    let speed = arguments.next().map_or(Ok(1), |speed| speed.parse().map_err(|_| usage))?;
    let lines = std::io::BufReader::new(std::fs::File::open(file)?).lines();
    let records =
        lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect::<Result<Vec<Record>, Box<dyn Error>>>()?;
    if !harmony_tui::is_terminal() {
        let mut lines = Lines::default();
        records.iter().filter_map(|record| lines.line(record)).for_each(|line| println!("{line}"));
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    Ok(runtime.block_on(harmony_tui::replay(records, speed, Look::from_env()))?)
}
