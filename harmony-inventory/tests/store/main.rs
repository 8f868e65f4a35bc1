//! The inventory against the promises of `harmony_core::store::Store`, in memory and on a file.
//!
//! One module for each topic; `fixtures` makes machines, reports and orders.

mod assignments;
mod boot;
mod fixtures;
mod killed;
mod opening;
mod orders;
mod properties;
mod reports;
mod runs;
mod sightings;
mod together;

/// Runs each body on an inventory in memory, and on one in a file.
macro_rules! on_memory_and_file {
    ($(async fn $name:ident($store:ident) $body:block)+) => {
        mod memory {
            #[allow(unused_imports)]
            use super::*;
            $(#[tokio::test]
            async fn $name() {
                let $store = harmony_inventory::Inventory::open("sqlite::memory:").await.expect("opens");
                $body
            })+
        }
        mod file {
            #[allow(unused_imports)]
            use super::*;
            $(#[tokio::test]
            async fn $name() {
                let folder = tempfile::tempdir().expect("temporary folder");
                let $store = crate::fixtures::open_in(&folder).await;
                $body
            })+
        }
    };
}
pub(crate) use on_memory_and_file;
