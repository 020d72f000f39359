//! Attaches a file as a block device (`man 4 loop`). The device detaches itself when no process has it open
//! or mounted any more, so there is nothing to undo.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

/// Maximum number of attempts: another process may take the free device first.
const TRIES_MAX: usize = 64;

/// `struct loop_info64` (include/uapi/linux/loop.h).
#[repr(C)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config`.
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

/// LO_FLAGS_AUTOCLEAR: the device detaches on its last close.
const AUTOCLEAR: u32 = 4;

mod ioctl {
    // LOOP_CTL_GET_FREE returns the number of a device. LOOP_CONFIGURE exists since Linux 5.8.
    nix::ioctl_none_bad!(get_free, 0x4c82);
    nix::ioctl_write_ptr_bad!(configure, 0x4c0a, super::Config);
}

/// Attaches a file as a block device. The device lasts as long as the returned file is open or the device is
/// mounted.
///
/// # Errors
/// Without root, if the kernel has no loop devices, or if it is older than Linux 5.8.
pub(super) fn attach(image: &Path) -> io::Result<(PathBuf, File)> {
    let open = |path: &Path| {
        let opened = OpenOptions::new().read(true).write(true).open(path);
        opened.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    };
    let (control, image) = (open(Path::new("/dev/loop-control"))?, open(image)?);
    for _ in 0..TRIES_MAX {
        // SAFETY: the descriptor is open while the call lasts, and the kernel is given no pointer.
        let number = unsafe { ioctl::get_free(control.as_raw_fd()) }?;
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let device = open(&path)?;
        // SAFETY: all fields are integers, for which zero is valid.
        let mut config: Config = unsafe { std::mem::zeroed() };
        config.fd = image.as_raw_fd() as u32;
        config.info.flags = AUTOCLEAR;
        // SAFETY: both descriptors are open while the call lasts, and the kernel reads one `loop_config`
        // through the pointer.
        match unsafe { ioctl::configure(device.as_raw_fd(), &config) } {
            Ok(_) => return Ok((path, device)),
            // Another process took the device first.
            Err(Errno::EBUSY) => {}
            Err(Errno::EINVAL | Errno::ENOTTY) => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "loop devices need Linux 5.8 or newer",
                ));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "others take every loop device"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_sizes_that_the_kernel_expects() {
        assert_eq!((size_of::<Info>(), size_of::<Config>()), (232, 304));
    }
}
