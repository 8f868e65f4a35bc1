//! The inventory agent's program.
fn main() {}
