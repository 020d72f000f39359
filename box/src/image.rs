//! The guest's file system: an archive (cpio, "newc") that the kernel unpacks into memory.
//!
//! Every file has the path that it has on the host, and symbolic links stay links, so that programs find what they
//! look for. Times and inode numbers are constants: the same files make the same bytes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cpio::newc::{Builder, trailer};

use crate::BoxError;
use crate::elf::{loaded_part, needed};
use crate::guest::MODULES;

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// The files of a guest.
#[derive(Debug, Default)]
pub struct Image {
    entries: BTreeMap<PathBuf, Node>,
}

#[derive(Debug)]
enum Node {
    Directory,
    Link(PathBuf),
    File { bytes: Vec<u8>, mode: u32 },
}

impl Image {
    /// Adds a file or directory of the host under its own path, with everything below it, the targets of links, and
    /// what its programs need to start.
    ///
    /// # Errors
    /// When something cannot be read, or a program lacks a library.
    pub fn add(&mut self, path: &Path) -> Result<(), BoxError> {
        let absolute = std::path::absolute(path).map_err(|why| BoxError::file(path, why))?;
        let Some(real) = self.add_links(&absolute)? else { return Ok(()) };
        let metadata = real.metadata().map_err(|why| BoxError::file(&real, why))?;
        if metadata.is_dir() {
            let found = std::fs::read_dir(&real).map_err(|why| BoxError::file(&real, why))?;
            for below in found {
                let below = below.map_err(|why| BoxError::file(&real, why))?.path();
                match std::fs::read_link(&below) {
                    // Nobody who reads the directory can follow it here either.
                    Ok(target) if !below.exists() => drop(self.entries.insert(below, Node::Link(target))),
                    _ => self.add(&below)?,
                }
            }
            return Ok(());
        }
        if !metadata.is_file() || matches!(self.entries.get(&real), Some(Node::File { .. })) {
            return Ok(());
        }
        let bytes = std::fs::read(&real).map_err(|why| BoxError::file(&real, why))?;
        let mode = metadata.permissions().mode() & 0o7777;
        self.entries.insert(real.clone(), Node::File { bytes, mode });
        needed(&real)?.iter().try_for_each(|path| self.add(path))
    }

    /// Adds this program, at `place`, without its symbols, and what it needs to start.
    ///
    /// # Errors
    /// As [`Image::add`].
    pub fn add_program(&mut self, program: &Path, place: &Path) -> Result<(), BoxError> {
        let bytes = std::fs::read(program).map_err(|why| BoxError::file(program, why))?;
        self.write(place, loaded_part(bytes), 0o755);
        needed(program)?.iter().try_for_each(|path| self.add(path))
    }

    /// Adds a program of the host at another `place`, and what it needs to start.
    ///
    /// # Errors
    /// As [`Image::add`].
    pub fn add_as(&mut self, program: &Path, place: &Path) -> Result<(), BoxError> {
        let bytes = std::fs::read(program).map_err(|why| BoxError::file(program, why))?;
        self.write(place, bytes, 0o755);
        needed(program)?.iter().try_for_each(|path| self.add(path))
    }

    /// Writes a file.
    pub fn write(&mut self, path: &Path, bytes: Vec<u8>, mode: u32) {
        self.make_directory(path.parent().unwrap_or(Path::new("/")));
        self.entries.insert(path.into(), Node::File { bytes, mode });
    }

    /// Adds kernel modules, which are loaded in this order.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn add_modules(&mut self, modules: &[PathBuf]) -> Result<(), BoxError> {
        self.make_directory(Path::new(MODULES));
        for (number, module) in modules.iter().enumerate() {
            let bytes = std::fs::read(module).map_err(|why| BoxError::file(module, why))?;
            self.write(&Path::new(MODULES).join(format!("{number:02}.ko")), bytes, 0o644);
        }
        Ok(())
    }

    /// Makes a directory and those above it.
    pub fn make_directory(&mut self, path: &Path) {
        for above in path.ancestors().filter(|above| above.parent().is_some()) {
            self.entries.entry(above.into()).or_insert(Node::Directory);
        }
    }

    /// Adds the directories and links on the way to a path. Returns the path without links; `None` if it leads in
    /// a circle.
    fn add_links(&mut self, absolute: &Path) -> Result<Option<PathBuf>, BoxError> {
        let mut here = PathBuf::from("/");
        let mut rest: Vec<OsString> = parts(absolute);
        rest.reverse();
        for _ in 0..1_000 {
            let Some(name) = rest.pop() else { return Ok(Some(here)) };
            if name == ".." {
                here.pop();
                continue;
            }
            let next = here.join(&name);
            let metadata = next.symlink_metadata().map_err(|why| BoxError::file(&next, why))?;
            if metadata.is_symlink() {
                let target = std::fs::read_link(&next).map_err(|why| BoxError::file(&next, why))?;
                if target.is_absolute() {
                    here = "/".into();
                }
                rest.extend(parts(&target).into_iter().rev());
                self.entries.insert(next, Node::Link(target));
                continue;
            }
            if metadata.is_dir() {
                self.entries.entry(next.clone()).or_insert(Node::Directory);
            }
            here = next;
        }
        Ok(None)
    }

    /// The archive.
    ///
    /// # Errors
    /// When a file is too large for the format (4 GiB).
    pub fn to_bytes(&self) -> Result<Vec<u8>, BoxError> {
        let mut archive = Vec::new();
        for (number, (path, node)) in self.entries.iter().enumerate() {
            let (mode, contents): (u32, &[u8]) = match node {
                Node::Directory => (DIRECTORY | 0o755, &[]),
                Node::Link(target) => (LINK | 0o777, target.as_os_str().as_bytes()),
                Node::File { bytes, mode } => (REGULAR | mode, bytes),
            };
            let written = u32::try_from(contents.len()).map_err(std::io::Error::other).and_then(|size| {
                let name = path.to_string_lossy();
                let builder = Builder::new(name.trim_start_matches('/')).ino(number as u32 + 1).mode(mode);
                let mut file = builder.nlink(1).mtime(0).write(&mut archive, size);
                file.write_all(contents)?;
                file.finish().map(drop)
            });
            written.map_err(|why| BoxError::file(path, why))?;
        }
        trailer(archive).map_err(|why| BoxError::Machine(why.to_string()))
    }
}

/// The names of a path, without the root and without `.`.
fn parts(path: &Path) -> Vec<OsString> {
    let names = path.as_os_str().as_bytes().split(|byte| *byte == b'/');
    let names = names.filter(|name| !name.is_empty() && *name != b".");
    names.map(|name| OsString::from_vec(name.to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_stay_links_and_their_targets_come_along() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("real")).unwrap();
        std::fs::write(root.join("real/file"), "x").unwrap();
        symlink("real", root.join("relative")).unwrap();
        symlink(root.join("relative/file"), root.join("absolute")).unwrap();
        symlink("circle", root.join("circle")).unwrap();
        let mut image = Image::default();
        image.add(&root.join("absolute")).unwrap();
        image.add(&root.join("circle")).unwrap();
        let is_link = |name: &str| matches!(image.entries.get(&root.join(name)), Some(Node::Link(_)));
        assert!(is_link("absolute") && is_link("relative") && is_link("circle"));
        assert!(matches!(image.entries.get(&root.join("real/file")), Some(Node::File { .. })));
        assert!(matches!(image.entries.get(&root.join("real")), Some(Node::Directory)));
    }

    #[test]
    fn the_same_files_make_the_same_bytes() {
        let make = || {
            let mut image = Image::default();
            image.add(&std::env::current_exe().unwrap()).unwrap();
            image.write(Path::new("/etc/hosts"), b"127.0.0.1 localhost\n".to_vec(), 0o644);
            image.to_bytes().unwrap()
        };
        assert!(make() == make());
    }

    #[test]
    fn a_link_into_nothing_stays_one() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/no/such/file", directory.path().join("link")).unwrap();
        let mut image = Image::default();
        image.add(directory.path()).unwrap();
        let link = image.entries.get(&directory.path().canonicalize().unwrap().join("link"));
        assert!(matches!(link, Some(Node::Link(target)) if target == Path::new("/no/such/file")), "{link:?}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = Image::default().add(Path::new("/no/such/file")).unwrap_err().to_string();
        assert!(error.starts_with("/no: "), "{error}");
    }
}
