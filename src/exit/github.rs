//! Workflow commands: output lines that a runner of GitHub Actions would execute.

use std::env;

/// Whether a runner of GitHub Actions reads the output.
pub(crate) fn is_runner() -> bool {
    env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// A text without commands to the runner. A command is a line that begins with `::` after any white space, or
/// contains `##[` (ActionCommand.cs of actions/runner).
pub(crate) fn without_commands(text: &str) -> String {
    let line = |line: &str| {
        let rest = line.trim_start();
        let space = &line[..line.len() - rest.len()];
        let rest = match rest.strip_prefix("::") {
            Some(rest) => format!(": :{rest}"),
            None => rest.to_owned(),
        };
        format!("{space}{}", rest.replace("##[", "## ["))
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_a_command() {
        assert_eq!(
            without_commands("a ::x\n::error::b\n \t::stop-commands::c\n d ##[error]e\n"),
            "a ::x\n: :error::b\n \t: :stop-commands::c\n d ## [error]e\n"
        );
    }
}
