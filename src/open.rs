//! `tribunal open`: opens the report of a run in the browser, and prints its path.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::anyhow;

use crate::{browser, exit};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run directory [default: the latest run of the store]
    #[arg(value_name = "RUN")]
    run: Option<PathBuf>,

    /// Directory with the runs
    #[arg(long, default_value = "store", value_name = "DIR")]
    store: PathBuf,
}

/// `tribunal open`. Without a browser the path is all there is.
pub(crate) fn run(args: &Args) -> ExitCode {
    let dir = args.run.clone().unwrap_or_else(|| args.store.join("latest"));
    let page = dir.join("report.html");
    let Ok(absolute) = page.canonicalize() else {
        return exit::usage(anyhow!(
            "{}: no such file; expected a run directory with a report (tribunal list runs, tribunal report RUN)",
            page.display()
        ));
    };
    exit::print_text(&format!("{}\n", page.display()));
    browser::open(&address(&absolute));
    ExitCode::SUCCESS
}

/// The address of a file. Every byte that has a meaning in an address is percent-encoded.
fn address(path: &Path) -> String {
    use std::fmt::Write;
    use std::os::unix::ffi::OsStrExt;
    let mut address = String::from("file://");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                address.push(char::from(*byte));
            }
            byte => drop(write!(address, "%{byte:02X}")),
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_file_is_encoded() {
        assert_eq!(address(Path::new("/a b/c#1?.html")), "file:///a%20b/c%231%3F.html");
    }
}
