//! The requests to the kernel that no safe function offers: those of block devices, and the flags of files.
//!
//! The one module with unsafe code: each request is given an open file and a place of the size that it
//! reads or writes. A regular file, which stands in for a disk in tests and simulations, knows none of
//! them; that it does not is told apart from failure.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::fs::File;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

/// Source: Linux `include/uapi/linux/fs.h`.
mod request {
    nix::ioctl_none!(block_reread_partitions, 0x12, 95);
    nix::ioctl_none!(block_flush_buffers, 0x12, 97);
    nix::ioctl_write_ptr_bad!(block_discard, nix::request_code_none!(0x12, 119), [u64; 2]);
    // Their numbers are those of a `long`, but the kernel moves an `int`.
    nix::ioctl_read_bad!(get_flags, nix::request_code_read!(b'f', 1, size_of::<std::ffi::c_long>()), std::ffi::c_int);
    nix::ioctl_write_ptr_bad!(
        set_flags,
        nix::request_code_write!(b'f', 2, size_of::<std::ffi::c_long>()),
        std::ffi::c_int
    );
}

/// `FS_IMMUTABLE_FL`.
const IMMUTABLE: c_int = 0x10;

/// Discards all of a block device. Says whether the device took it; what is read afterwards is not specified.
pub(crate) fn discard(device: &File, size_bytes: u64) -> bool {
    // SAFETY: the kernel reads two numbers, start and length, from the array.
    unsafe { request::block_discard(device.as_raw_fd(), &raw const *&[0, size_bytes]) }.is_ok()
}

/// Drops what the kernel has in memory of a block device, so that the next read is one of the device.
pub(crate) fn flush_buffers(device: &File) -> nix::Result<()> {
    // SAFETY: the request has no argument.
    unknown(unsafe { request::block_flush_buffers(device.as_raw_fd()) })
}

/// Makes the kernel read the partition table anew. A device that can have no partitions needs none.
pub(crate) fn reread_partitions(device: &File) -> nix::Result<()> {
    // SAFETY: the request has no argument.
    match unsafe { request::block_reread_partitions(device.as_raw_fd()) } {
        Err(Errno::EINVAL) => Ok(()),
        answer => unknown(answer),
    }
}

/// Takes the immutable flag from a file; nothing where the file system has no flags.
pub(crate) fn make_mutable(file: &File) -> nix::Result<()> {
    let mut flags = 0;
    // SAFETY: the kernel writes one `int`.
    match unsafe { request::get_flags(file.as_raw_fd(), &raw mut flags) } {
        Ok(_) if flags & IMMUTABLE != 0 => {
            flags &= !IMMUTABLE;
            // SAFETY: the kernel reads one `int`.
            unknown(unsafe { request::set_flags(file.as_raw_fd(), &raw const flags) })
        }
        answer => unknown(answer),
    }
}

/// A request that the file does not know is no failure.
fn unknown(answer: nix::Result<c_int>) -> nix::Result<()> {
    match answer {
        Ok(_) | Err(Errno::ENOTTY | Errno::EOPNOTSUPP) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_file_knows_no_request_of_a_disk() {
        let file = tempfile::tempfile().expect("file");
        assert!(!discard(&file, 4096));
        assert_eq!((flush_buffers(&file), reread_partitions(&file)), (Ok(()), Ok(())));
        assert_eq!(make_mutable(&file), Ok(()), "whatever the file system is");
    }

    #[test]
    fn a_closed_door_is_a_failure() {
        let null = File::open("/dev/null").expect("opens");
        assert_eq!(make_mutable(&null), Ok(()));
        assert_eq!(unknown(Err(Errno::EPERM)), Err(Errno::EPERM));
        assert_eq!(unknown(Err(Errno::EIO)), Err(Errno::EIO));
    }
}
