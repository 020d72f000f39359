//! What a program needs to start: its interpreter and its shared libraries, or the interpreter of a script.

use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{ffi::OsStr, fs::File};

use object::read::elf::{ElfFile64, ProgramHeader};
use object::{Endianness, elf};

use crate::BoxError;

/// The files without which this program or library cannot start, itself left out. Empty for a file that is neither
/// an ELF file nor a script.
///
/// # Errors
/// When a file cannot be read, or a library is missing.
pub(crate) fn needed(program: &Path) -> Result<Vec<PathBuf>, BoxError> {
    let mut start = Vec::new();
    let opened = File::open(program).and_then(|file| file.take(4_096).read_to_end(&mut start));
    opened.map_err(|why| BoxError::file(program, why))?;
    if let Some(line) = start.strip_prefix(b"#!") {
        return Ok(of_script(line.split(|byte| *byte == b'\n').next().unwrap_or_default()));
    }
    if !start.starts_with(b"\x7fELF") {
        return Ok(Vec::new());
    }
    let bytes = std::fs::read(program).map_err(|why| BoxError::file(program, why))?;
    let Some(interpreter) = interpreter(&bytes) else { return Ok(of_library(program)) };
    let mut needed = libraries(&interpreter, program)?;
    needed.push(interpreter);
    Ok(needed)
}

/// What a library needs that is there: only the program that loads it knows what it can do without. Empty for a static
/// program.
fn of_library(library: &Path) -> Vec<PathBuf> {
    let own = std::fs::read("/proc/self/exe").ok().and_then(|bytes| interpreter(&bytes));
    let answer = own.and_then(|own| Command::new(own).arg("--list").arg(library).output().ok());
    let text = answer.map(|answer| String::from_utf8_lossy(&answer.stdout).into_owned()).unwrap_or_default();
    text.lines().filter_map(path_in).collect()
}

/// The interpreter of a script, and the program that `/usr/bin/env` would find.
fn of_script(line: &[u8]) -> Vec<PathBuf> {
    let words: Vec<&OsStr> =
        line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).map(OsStr::from_bytes).collect();
    let found =
        words.iter().skip(1).filter(|word| !word.as_bytes().starts_with(b"-")).find_map(|word| on_path(word));
    let is_env = words.first().is_some_and(|word| Path::new(word).ends_with("env"));
    words.first().map(PathBuf::from).into_iter().chain(found.filter(|_| is_env)).collect()
}

/// The executable with that name on the `PATH`; a name with a slash is a path.
pub(crate) fn on_path(name: &OsStr) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return Path::new(name).is_file().then(|| name.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// The program's interpreter (`PT_INTERP`), which loads its libraries; `None` if it has none.
fn interpreter(bytes: &[u8]) -> Option<PathBuf> {
    let file = ElfFile64::<Endianness>::parse(bytes).ok()?;
    let endian = file.endian();
    let headers = file.elf_program_headers();
    let found = headers.iter().find_map(|header| header.interpreter(endian, bytes).ok().flatten())?;
    Some(OsStr::from_bytes(found).into())
}

/// The libraries that the interpreter would load, by asking it: only it knows its search path.
fn libraries(interpreter: &Path, program: &Path) -> Result<Vec<PathBuf>, BoxError> {
    let absolute = std::path::absolute(program).map_err(|why| BoxError::file(program, why))?;
    let answer = Command::new(interpreter).arg("--list").arg(&absolute).output();
    let answer = answer.map_err(|why| BoxError::file(interpreter, why))?;
    let text = String::from_utf8_lossy(&answer.stdout);
    if !answer.status.success() {
        let why = String::from_utf8_lossy(&answer.stderr);
        return Err(BoxError::file(program, why.trim()));
    }
    if let Some(missing) = text.lines().find(|line| line.ends_with("=> not found")) {
        return Err(BoxError::file(
            program,
            format!("it needs a library that is missing: {}", missing.trim()),
        ));
    }
    Ok(text.lines().filter_map(path_in).collect())
}

/// The path in a line such as `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f...)`.
fn path_in(line: &str) -> Option<PathBuf> {
    let (text, _address) = line.trim().rsplit_once(" (")?;
    let path = text.split_once(" => ").map_or(text, |(_, path)| path);
    path.starts_with('/').then(|| path.into())
}

/// The part of an ELF file that is loaded: without symbols and debug information, if these follow it. Other files
/// stay as they are.
pub(crate) fn loaded_part(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = |bytes: &[u8]| -> Option<usize> {
        let file = ElfFile64::<Endianness>::parse(bytes).ok()?;
        let endian = file.endian();
        let headers = file.elf_program_headers();
        let ends = headers.iter().map(|header| header.p_offset(endian) + header.p_filesz(endian));
        usize::try_from(ends.max()?).ok().filter(|end| *end <= bytes.len() && *end >= HEADER_BYTES)
    };
    if let Some(end) = end(&bytes) {
        bytes.truncate(end);
        // The table of sections is gone with them: e_shoff, e_shnum and e_shstrndx.
        let offset = std::mem::offset_of!(elf::FileHeader64<Endianness>, e_shoff);
        bytes[offset..offset + 8].fill(0);
        let offset = std::mem::offset_of!(elf::FileHeader64<Endianness>, e_shnum);
        bytes[offset..offset + 4].fill(0);
    }
    bytes
}

const HEADER_BYTES: usize = size_of::<elf::FileHeader64<Endianness>>();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_needs_its_interpreter_and_its_libraries() {
        let me = std::env::current_exe().unwrap();
        let needed = needed(&me).unwrap();
        let names: Vec<_> = needed.iter().filter_map(|path| path.file_name()).collect();
        assert!(names.iter().any(|name| name.as_bytes().starts_with(b"libc.")), "{names:?}");
        assert!(names.iter().any(|name| name.as_bytes().starts_with(b"ld-")), "{names:?}");
    }

    #[test]
    fn a_program_runs_without_its_symbols() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let stripped = directory.path().join("stripped");
        let whole = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let size = whole.len();
        let part = loaded_part(whole);
        assert!(part.len() < size);
        std::fs::write(&stripped, part).unwrap();
        std::fs::set_permissions(&stripped, std::fs::Permissions::from_mode(0o755)).unwrap();
        let listed = Command::new(&stripped).arg("--list").output().unwrap();
        assert!(String::from_utf8_lossy(&listed.stdout).contains("a_program_runs_without_its_symbols"));
    }

    #[test]
    fn a_script_needs_its_interpreter() {
        assert_eq!(of_script(b"/bin/sh -e"), [PathBuf::from("/bin/sh")]);
        let found = of_script(b"/usr/bin/env sh");
        assert_eq!(found[0], PathBuf::from("/usr/bin/env"));
        assert!(found[1].ends_with("sh"), "{found:?}");
    }
}
