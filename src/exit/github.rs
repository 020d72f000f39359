//! Workflow commands: output lines that a runner of GitHub Actions would execute.

use std::env;

/// Whether a runner of GitHub Actions reads the output.
pub(crate) fn listens() -> bool {
    env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// A text without commands to the runner. A command is a line that begins with `::` after any white space, or
/// contains `##[` (ActionCommand.cs of actions/runner).
pub(crate) fn no_commands(text: &str) -> String {
    let line = |line: &str| {
        let said = line.trim_start();
        let space = &line[..line.len() - said.len()];
        let said = match said.strip_prefix("::") {
            Some(rest) => format!(": :{rest}"),
            None => said.to_owned(),
        };
        format!("{space}{}", said.replace("##[", "## ["))
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_a_command() {
        assert_eq!(
            no_commands("a ::x\n::error::b\n \t::stop-commands::c\n d ##[error]e\n"),
            "a ::x\n: :error::b\n \t: :stop-commands::c\n d ## [error]e\n"
        );
    }
}
