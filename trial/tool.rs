//! Version of this program.

use tribunal_reports::run_info::Tool;

/// The version, and the git revision if the build has set it.
pub fn tool() -> Tool {
    Tool { version: env!("CARGO_PKG_VERSION").into(), git: option_env!("TRIBUNAL_GIT").map(str::to_string) }
}
