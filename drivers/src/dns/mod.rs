//! DNS servers, one folder per product; [`external`] for those that are not Harmony's to change.
//!
//! Read next: `client` for questions over the DNS protocol, `message` for their form.

mod client;
pub mod dnsmasq;
pub mod external;
mod message;

pub use client::AskError;
pub use message::MessageError;
