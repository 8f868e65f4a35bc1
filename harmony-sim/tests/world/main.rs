//! The simulated world by itself: it fails where real parts fail, works where they work, notices
//! what must not happen, and repeats itself exactly.

mod bmcs;
mod bonds;
mod boot;
mod causes;
mod checkers;
mod cluster;
mod faults;
mod harness;
mod install;
mod lacp;
mod repeat;
mod scripts;
