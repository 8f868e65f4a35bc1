//! How drivers reach devices, without knowing what is said there.
//!
//! Read next: [`process`].

pub mod process;
