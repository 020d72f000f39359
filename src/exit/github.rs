//! What a runner of GitHub Actions takes for a command in what is printed.

use std::env;

/// Whether a runner of GitHub Actions reads what is printed.
pub(crate) fn listens() -> bool {
    env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// A text in which no line is a command to the runner: those begin with `::` after any white space, or have `##[`
/// anywhere (ActionCommand.cs of actions/runner).
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
