//! Malicious text from a system, a history or a file name must not reach a terminal, a log or GitHub's runner
//! unescaped.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::ends;
use crate::program::{Ended, Store, tribunal};

/// Clears the screen, starts new lines, and contains commands to GitHub's runner.
const MALICIOUS: &str =
    "\u{1b}[2J\u{9b}31m\r\n::error::owned\n \t::stop-commands::x\n##[error]owned\u{202e}\nLinearizable.";

/// Runs the command as a job of GitHub Actions.
fn on_github(command: &mut Command) -> &mut Command {
    command.env("GITHUB_ACTIONS", "true")
}

/// The lines that GitHub's runner would execute as commands.
fn commands(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.trim_start().starts_with("::") || line.contains("##[")).collect()
}

/// Asserts that a text contains nothing that a terminal executes, and no line of the malicious text.
fn assert_escaped(what: &str, text: &str) {
    let acts: Vec<char> = text.chars().filter(|c| c.is_control() && *c != '\n' && *c != '\t').collect();
    assert!(acts.is_empty() && !text.contains('\u{202e}'), "{what} has {acts:?}: {text:?}");
    assert!(!text.lines().any(|line| line == "Linearizable."), "{what}: {text}");
}

fn assert_output_escaped(ended: &Ended) {
    for (what, text) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
        assert_escaped(what, text);
        assert_eq!(commands(text), [""; 0], "{what}: {text}");
    }
}

#[test]
fn histories_and_their_names_are_escaped() {
    let store = Store::new();
    let malicious = serde_json::to_string(MALICIOUS).unwrap();
    let event = |i: u64, kind: &str, f: &str, value: &str| {
        format!(
            "{{\"i\":{i},\"t\":{i},\"p\":0,\"type\":\"{kind}\",\"f\":{f},\"key\":{malicious},\"value\":{value},\"node\":{malicious}}}\n"
        )
    };
    let stale = [
        event(0, "invoke", "\"write\"", &malicious),
        event(1, "ok", "\"write\"", &malicious),
        event(2, "invoke", "\"read\"", "null"),
        event(3, "ok", "\"read\"", "\"another\""),
    ];
    let unfit = [event(0, "invoke", &malicious, &malicious), event(1, "ok", &malicious, &malicious)];
    for (name, lines, code) in [
        ("stale", stale.concat(), 1),
        ("unfit", unfit.concat(), 64),
        ("malformed", format!("{{\"i\":0,\"t\":1,{malicious}:1}}\n"), 64),
        ("none", String::new(), 2),
    ] {
        let file = store.path().join(format!("{name}{}.jsonl", MALICIOUS.replace('/', "")));
        std::fs::write(&file, lines).unwrap();
        for format in ["text", "json"] {
            let mut check = tribunal(["check", "--model", "register", "--format", format]);
            let ended = ends(on_github(
                check.arg(&file).arg(store.path().join(format!("no{MALICIOUS}"))).env_remove("X"),
            ));
            assert!(ended.code == Some(code) || ended.code == Some(64), "{name}: {ended:?}");
            assert_output_escaped(&ended);
            if format == "json" && code == 1 {
                let verdict: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
                assert!(verdict["file"].as_str().unwrap().contains(MALICIOUS), "a program reads it as it is");
            }
        }
        let mut convert = tribunal(["convert", "--to", "txt"]);
        let ended = ends(on_github(convert.arg(&file).arg(store.path().join(format!("no/dir{MALICIOUS}")))));
        assert_output_escaped(&Ended { stdout: String::new(), ..ended });
    }
    assert_output_escaped(&ends(on_github(tribunal(["check"]).arg(format!("--no{MALICIOUS}")))).expect(64));
    let dir = store.path().join(format!("kept{MALICIOUS}"));
    let stale = store.path().join(format!("stale{MALICIOUS}.jsonl"));
    assert_output_escaped(
        &ends(on_github(tribunal(["check", "--model", "register", "--report"]).arg(&dir).arg(&stale)))
            .expect(1),
    );
    for name in ["report.txt", "report.md"] {
        let text = std::fs::read_to_string(dir.join(name)).unwrap();
        assert_escaped(name, &text);
    }
    let ended = ends(on_github(tribunal(["report", "--format", "txt"]).arg(&dir))).expect(0);
    assert_eq!(commands(&ended.stdout), [""; 0], "{}", ended.stdout);
    for format in ["text", "json"] {
        let mut list = tribunal(["list", "runs", "--format", format, "--store"]);
        assert_output_escaped(&ends(on_github(list.arg(store.path().parent().unwrap()))));
    }
}

/// A server that prints malicious text before it exits.
#[test]
fn output_of_a_node_is_escaped() {
    let store = Store::new();
    let bin = store.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::fs::write(bin.join("words"), MALICIOUS).unwrap();
    let script = format!("#!/bin/sh\ncat {}/words >&2\nexit 1\n", bin.display());
    std::fs::write(bin.join("etcd"), script).unwrap();
    std::fs::set_permissions(bin.join("etcd"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let summary = store.path().join("summary.md");
    let mut run = store.command("run register --system etcd --nodes 3 --time-limit 1s --nemesis none");
    run.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
    let ended = ends(on_github(&mut run).env("GITHUB_STEP_SUMMARY", &summary)).expect(3);
    assert!(ended.stdout.contains("exited by itself"), "{}", ended.stdout);
    assert_escaped("stdout", &ended.stdout);
    assert_escaped("stderr", &ended.stderr);
    assert_eq!(commands(&ended.stderr), [""; 0], "{}", ended.stderr);
    let ours = commands(&ended.stdout);
    assert!(matches!(*ours, [annotation] if annotation.starts_with("::warning title=")), "{ours:?}");
    let dir = store.run_directory("register");
    for file in [dir.join("controller.log"), dir.join("report.txt"), summary] {
        assert_escaped(&file.display().to_string(), &std::fs::read_to_string(&file).unwrap());
    }
}
