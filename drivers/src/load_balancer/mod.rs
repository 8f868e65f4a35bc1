//! Load balancers, one folder per product; [`external`] for one that is not Harmony's to change.

pub mod external;
pub mod haproxy;
