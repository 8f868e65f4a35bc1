//! Clusters: what makes them, and what they say of themselves.

pub mod kubernetes;
pub mod openshift_install;
