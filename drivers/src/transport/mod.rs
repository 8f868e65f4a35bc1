//! How drivers reach devices, without knowing what is said there.
//!
//! Read next: [`process`], [`cli`], [`ssh`], [`tls`].

pub mod cli;
pub mod process;
pub mod ssh;
pub mod tls;
