//! Clusters: what makes them, and what they say of themselves.

pub mod openshift_install;
