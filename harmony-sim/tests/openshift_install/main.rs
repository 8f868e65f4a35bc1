//! The stand-in for `openshift-install`: compared with recordings of the real program, and under the driver.

mod api;
mod driver;
mod faults;
mod recorded;
mod waiting;
mod work;
