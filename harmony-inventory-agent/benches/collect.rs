//! Time of one report beside `lshw -json`.
fn main() {}
