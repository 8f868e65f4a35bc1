//! The boot server over real sockets, with the real store.

mod announcements;
mod answers;
mod files;
mod in_process;
mod scripts;
mod tftp;
mod world;
