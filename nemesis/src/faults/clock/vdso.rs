//! The vDSO: the small shared library that the kernel maps into every process, and the offsets of its
//! functions.
//!
//! Every 64-bit process of a machine has the same image, at an address of its own. So this program's image
//! shows what another one was like before it was patched, which is all that restoring it needs.

use std::{collections::BTreeMap, fs::File, io, os::unix::fs::FileExt};

use object::{Object, ObjectSegment, ObjectSymbol, read::elf::ElfFile64};

/// An image of the vDSO.
#[derive(Debug)]
pub(crate) struct Image {
    /// Content of all its pages.
    pub(crate) bytes: Vec<u8>,
    /// Offset of each function.
    pub(crate) functions: BTreeMap<String, u64>,
    /// Offset behind the last loaded byte. Beyond it are only section headers, which are not used at run
    /// time, and zeros to the end of the page.
    pub(crate) spare: u64,
}

impl Image {
    /// Reads the image from the memory of a process, and its address.
    ///
    /// # Errors
    /// When the process has none, its memory cannot be read, or the image is not a 64-bit ELF file.
    pub(crate) fn of(pid: i32) -> Result<(Image, u64), String> {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).map_err(|error| error.to_string())?;
        let (start, end) = range(&maps).ok_or("it has no vDSO")?;
        let mut bytes = vec![0; (end - start) as usize];
        let memory = File::open(format!("/proc/{pid}/mem"));
        memory.and_then(|memory| memory.read_exact_at(&mut bytes, start)).map_err(|error| refused(&error))?;
        Ok((Image::parse(bytes)?, start))
    }

    fn parse(bytes: Vec<u8>) -> Result<Image, String> {
        let elf =
            ElfFile64::<object::Endianness>::parse(&*bytes).map_err(|error| format!("its vDSO: {error}"))?;
        let functions = elf.dynamic_symbols().filter(|symbol| symbol.is_definition());
        let functions =
            functions.filter_map(|symbol| Some((symbol.name().ok()?.to_owned(), symbol.address())));
        let functions = functions.collect();
        let spare = elf.segments().map(|segment| segment.address() + segment.size()).max().unwrap_or(0);
        Ok(Image { functions, spare, bytes })
    }
}

/// Explains an error from `/proc/PID/mem`.
pub(crate) fn refused(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "its memory may not be touched: that takes the right to ptrace it (same user and no ptrace_scope above 1, or \
             CAP_SYS_PTRACE)"
                .to_owned()
        }
        _ => error.to_string(),
    }
}

/// Address range of the vDSO, from `/proc/PID/maps`.
fn range(maps: &str) -> Option<(u64, u64)> {
    let line = maps.lines().find(|line| line.ends_with("[vdso]"))?;
    let (start, end) = line.split(' ').next()?.split_once('-')?;
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_excludes_the_data_pages() {
        let maps =
            "7f50-7f60 r--p 0 0:0 0 [vvar]\n7f5001258000-7f500125a000 r-xp 00000000 00:00 0       [vdso]\n";
        assert_eq!(range(maps), Some((0x7f50_0125_8000, 0x7f50_0125_a000)));
        assert_eq!(range("7f50-7f60 r--p 0 0:0 0 [vvar]\n"), None);
    }

    #[test]
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn our_own_vdso_has_the_functions_that_the_stub_replaces() {
        let (image, _) = Image::of(std::process::id() as i32).expect("Linux maps one");
        let stub = super::super::stub::stub().expect("one for this architecture");
        for (name, _) in stub.entries {
            assert!(image.functions[*name] < image.spare, "{name}");
        }
        assert!(Image::parse(b"no ELF".to_vec()).is_err());
    }
}
