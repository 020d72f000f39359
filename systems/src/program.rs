//! Servers that the user has to install.

use std::path::{Path, PathBuf};

use crate::Unusable;

/// The executable of this name on the `PATH`; `package` is the Debian package that contains it.
///
/// # Errors
/// When there is none.
pub fn program(name: &'static str, package: &'static str) -> Result<PathBuf, Unusable> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian installs servers into directories that are only on root's PATH.
    let directories = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let mut candidates = directories.map(|directory| directory.join(name));
    candidates.find(|file| is_executable(file)).ok_or(Unusable::NotInstalled { program: name, package })
}

/// The file that a word of a command names: a path, or a program on the `PATH`.
pub(crate) fn found(word: &str) -> Option<PathBuf> {
    if word.contains('/') || Path::new(word).is_file() {
        return Path::new(word).exists().then(|| word.into());
    }
    on_path(word)
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| is_executable(file))
}

/// Checks that a program can be started: an executable file, by its path or by its name on the `PATH`.
///
/// # Errors
/// Why it cannot be started.
pub(crate) fn executable(name: &str, description: &Path) -> Result<(), String> {
    if name.contains('/') {
        return match is_executable(Path::new(name)) {
            true => Ok(()),
            false => Err(format!(
                "`{name}` is no executable file (paths count from where tribunal runs, not from {})",
                description.display()
            )),
        };
    }
    on_path(name).map(drop).ok_or_else(|| format!("there is no program `{name}` on the PATH"))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
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
}
