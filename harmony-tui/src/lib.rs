//! Shows a run, its hosts and its switch ports: on a terminal as a full screen, elsewhere as plain lines.
//!
//! ```text
//! records ─┐                      ┌─> view (pure) ─> terminal
//! keys ────┼─> State (pure fold) ─┤
//! time ────┘                      └─> UserAction ─> the runner
//! ```
//!
//! Sees core events only: no store, no device, no Score. It changes nothing itself; what a user wants
//! done is returned as [`UserAction`], and what comes of it arrives as records like everything else. So a
//! journal, replayed, shows the same screens.
//!
//! Read next: [`State`] for what is shown, [`view()`] for how, [`run()`] for the loop, [`Lines`] for
//! where there is no terminal.

mod action;
mod assign;
mod driver;
mod error;
mod input;
mod lines;
mod look;
mod source;
mod state;
mod terminal;
mod text;
mod units;
mod view;

pub use action::{Notice, UserAction};
pub use driver::{replay, run};
pub use error::TuiError;
pub use lines::{Entry, Level, Lines};
pub use look::Look;
pub use source::{Arrival, Live, Replay, Source, Steered, Tempo};
pub use state::State;
pub use terminal::is_terminal;
pub use view::view;
