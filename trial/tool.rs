//! What this program is.

use tribunal_reports::run_info::Tool;

/// This program, and the revision that it was built from where the build says so.
pub fn tool() -> Tool {
    Tool { version: env!("CARGO_PKG_VERSION").into(), git: option_env!("TRIBUNAL_GIT").map(str::to_string) }
}
