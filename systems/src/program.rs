//! Servers that the user has to install.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::Unusable;

/// The executable of this name on the `PATH`; `package` is the Debian package that contains it.
///
/// # Errors
/// When there is none.
pub fn program(name: &'static str, package: &'static str) -> Result<PathBuf, Unusable> {
    // Debian installs servers into directories that are only on root's PATH.
    let path = ProgramPath::with(&["/usr/sbin".into(), "/sbin".into()]);
    path.find(name).ok_or(Unusable::NotInstalled { program: name, package })
}

/// The directories in which programs are searched for: those of `PATH`, then others.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProgramPath {
    more: Vec<PathBuf>,
}

impl ProgramPath {
    /// `PATH` and the directories that match these patterns: a component may be `*`.
    pub(crate) fn with(patterns: &[String]) -> ProgramPath {
        ProgramPath { more: patterns.iter().flat_map(|pattern| matching(pattern)).collect() }
    }

    fn directories(&self) -> Vec<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).chain(self.more.iter().cloned()).collect()
    }

    /// The variable `PATH` for commands, if it is not Tribunal's own.
    pub(crate) fn variable(&self) -> Option<OsString> {
        // A directory whose name has a colon cannot be in it.
        (!self.more.is_empty()).then(|| std::env::join_paths(self.directories()).ok()).flatten()
    }

    /// The program with that name.
    pub(crate) fn find(&self, name: &str) -> Option<PathBuf> {
        let candidates = self.directories().into_iter().map(|directory| directory.join(name));
        candidates.into_iter().find(|file| is_executable(file))
    }

    /// What to start for the name of a program: the name itself, if `PATH` is enough.
    pub(crate) fn resolved(&self, name: &str) -> OsString {
        let found = (!self.more.is_empty()).then(|| self.file(name)).flatten();
        found.map_or(name.into(), PathBuf::into_os_string)
    }

    /// The file that a word of a command names: a path, or a program.
    pub(crate) fn file(&self, word: &str) -> Option<PathBuf> {
        if word.contains('/') || Path::new(word).is_file() {
            return Path::new(word).exists().then(|| word.into());
        }
        self.find(word)
    }

    /// Checks that a program can be started: an executable file, by its path or by its name.
    ///
    /// # Errors
    /// Why it cannot be started.
    pub(crate) fn executable(&self, name: &str, description: &Path) -> Result<(), String> {
        if name.contains('/') {
            return match is_executable(Path::new(name)) {
                true => Ok(()),
                false => Err(format!(
                    "`{name}` is no executable file (paths count from where tribunal runs, not from {})",
                    description.display()
                )),
            };
        }
        self.find(name).map(drop).ok_or_else(|| format!("there is no program `{name}` on the PATH"))
    }
}

/// The directories that match a pattern, the highest version first.
fn matching(pattern: &str) -> Vec<PathBuf> {
    let home = std::env::var("HOME").unwrap_or_default();
    let pattern = match pattern.strip_prefix("~/") {
        Some(below) => format!("{home}/{below}"),
        None => pattern.into(),
    };
    let Some((before, after)) = pattern.split_once("/*/") else { return vec![pattern.into()] };
    let entries = std::fs::read_dir(before).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let version = |name: &String| {
        name.split(|it: char| !it.is_ascii_digit()).filter_map(|it| it.parse().ok()).collect::<Vec<u64>>()
    };
    names.sort_by_key(|name| std::cmp::Reverse(version(name)));
    names.into_iter().map(|name| Path::new(before).join(name).join(after)).collect()
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        assert!(program("sh", "dash").is_ok_and(|path| path.is_absolute()));
        let error = program("no-such-server", "no-such-package").expect_err("nobody has it").to_string();
        assert_eq!(
            error,
            "`no-such-server` is not installed: on Debian and Ubuntu, `apt-get install no-such-package`"
        );
    }

    #[test]
    fn the_highest_version_is_found_first() {
        let directory = tempfile::tempdir().unwrap();
        for version in ["9.6", "15", "14"] {
            let bin = directory.path().join(version).join("bin");
            std::fs::create_dir_all(&bin).unwrap();
            let program = bin.join("tribunal-test-server");
            std::fs::write(&program, "").unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = ProgramPath::with(&[format!("{}/*/bin", directory.path().display())]);
        let found = path.find("tribunal-test-server").unwrap();
        assert_eq!(found, directory.path().join("15/bin/tribunal-test-server"));
        assert!(path.variable().unwrap().into_string().unwrap().contains("/15/bin"));
        assert_eq!(ProgramPath::default().variable(), None);
    }
}
