//! The boot server over real sockets, with the real store.

mod announcements;
mod answers;
mod files;
mod scripts;
mod tftp;
mod world;
