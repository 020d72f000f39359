//! Tells the program which revision it was built from, where there is a git checkout to ask.

use std::path::Path;
use std::process::Command;

fn main() {
    // A file that does not exist, as in an archive of the sources, counts as changed at every build.
    for file in ["build.rs", ".git/HEAD", ".git/index"].iter().filter(|file| Path::new(file).exists()) {
        println!("cargo::rerun-if-changed={file}");
    }
    if let Some(revision) = git(&["describe", "--always", "--dirty", "--exclude=*"]) {
        println!("cargo::rustc-env=TRIBUNAL_GIT={revision}");
    }
}

/// Without optional locks: git would refresh the index, and so cause the next build.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(args)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_string())
}
