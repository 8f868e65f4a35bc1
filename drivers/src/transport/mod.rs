//! How drivers reach devices, without knowing what is said there.
//!
//! Read next: [`process`], [`daemon`], [`cli`], [`ssh`], [`tls`].

pub mod cli;
pub(crate) mod confirmed;
pub mod daemon;
pub(crate) mod pin_file;
pub mod process;
pub mod ssh;
pub mod tls;

pub use pin_file::PinFileError;
