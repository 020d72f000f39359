//! The commands in README, CONTRIBUTING and docs, exactly as printed: each is run in a directory that resembles a fresh
//! clone.
//!
//! Runs are shortened to one second, so this tests a command only up to its outcome: it needs no file that
//! the clone lacks, every flag exists, and it does not crash. `documented_runs_end_as_the_text_says`
//! (nightly) runs them in full length.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use crate::program::{Ended, tribunal};

/// A command in a code block.
#[derive(Clone, Debug)]
struct Documented {
    /// Its place: `docs/faults.md:71`.
    place: String,
    command: String,
    /// The comment after `#`.
    comment: String,
}

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The commands in the code blocks of README and docs, in order.
fn documented() -> Vec<Documented> {
    let docs = std::fs::read_dir(Path::new(ROOT).join("docs")).expect("there are docs");
    let mut files: Vec<PathBuf> = docs.map(|entry| entry.expect("an entry").path()).collect();
    files.extend(["README.md", "CONTRIBUTING.md"].map(|name| Path::new(ROOT).join(name)));
    files.sort();
    let markdown = files.iter().filter(|path| path.extension().is_some_and(|it| it == "md"));
    markdown.flat_map(|path| commands(path)).collect()
}

/// The commands in one file: lines of a code block (fenced or indented by four) that begin with a program's
/// name.
fn commands(path: &Path) -> Vec<Documented> {
    let text = std::fs::read_to_string(path).expect("a readable document");
    let name = path.strip_prefix(ROOT).expect("below the root").display();
    let mut found: Vec<Documented> = Vec::new();
    let mut fenced = false;
    let mut goes_on = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if !fenced && !line.starts_with("    ") {
            continue;
        }
        let line = line.trim().trim_start_matches("$ ");
        let (said, comment) =
            line.split_once(" #").map_or((line, ""), |(said, comment)| (said, comment.trim()));
        let said = said.trim();
        let (said, more) = said.strip_suffix('\\').map_or((said, false), |said| (said.trim(), true));
        if goes_on {
            let last = found.last_mut().expect("a line goes on after its first");
            last.command += &format!(" {said}");
        } else if PROGRAMS.iter().any(|program| said.split(' ').next() == Some(program))
            && !said.contains(" = ")
        {
            let place = format!("{name}:{}", number + 1);
            found.push(Documented { place, command: said.into(), comment: comment.into() });
        } else {
            continue;
        }
        goes_on = more;
    }
    found
}

const PROGRAMS: [&str; 5] = ["tribunal", "cargo", "cat", "apt-get", "just"];

/// A directory like a fresh clone after one run: `examples/` and `store/latest`.
fn clone() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let examples = Path::new(ROOT).join("examples");
    std::os::unix::fs::symlink(examples, dir.path().join("examples")).expect("a link");
    let run =
        "run register --nodes 3 --time-limit 3s --rate full --nemesis none --seed 1 --quiet --progress none";
    let ended = Ended::of(tribunal(run.split(' ')).current_dir(dir.path()).output().unwrap());
    // On a busy machine three seconds may be too short for every kind of operation.
    assert!(matches!(ended.code, Some(0 | 2)), "{ended:?}");
    dir
}

/// A shell in which `tribunal` is the binary under test.
fn shell(command: &str, directory: &Path) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_tribunal"));
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(directory).stdin(Stdio::null());
    shell.env("PATH", format!("{}:{path}", binary.parent().expect("it is in a directory").display()));
    shell
}

fn has(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .is_ok_and(|it| it.status.success())
}

/// Whether the system under test has a known bug, so that a violation is expected.
fn expects_violation(command: &str) -> bool {
    let fails_by_design = [
        "primary-backup",
        "two-primaries",
        "last-id",
        "ttl-lock",
        "two-phase-commit",
        "own-system",
        "nats",
        "sentinel",
    ];
    command.contains("--bug")
        || fails_by_design.iter().any(|name| command.contains(name))
        || command.contains("rw-register --system gossip")
}

/// The same run, shortened to one second.
fn shortened(command: &str) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    let mut short: Vec<&str> = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match word {
            "--time-limit" | "--nemesis-interval" | "--repeat" => drop(words.next()),
            _ => short.push(word),
        }
    }
    let repeat = if command.contains("--repeat") { " --repeat 2" } else { "" };
    // Every requested fault must fit into the second.
    let interval = if command.contains("--schedule") { "" } else { " --nemesis-interval 30ms" };
    // A recorded run was shortened to one second: its faults are due by then.
    let limit = if command.contains("store/latest") { "3s" } else { "1s" };
    format!("{} --time-limit {limit}{interval}{repeat} --quiet --progress none", short.join(" "))
}

/// The shortened command, and the exit codes that it may have; `None` if it is not run.
fn short_form(command: &str) -> Option<(String, Vec<i32>)> {
    let command = command.replace("cargo run --release -- ", "tribunal ");
    let verb = command.split(' ').nth(1).unwrap_or_default().to_string();
    let is_boxed = command.contains("--box")
        || ["box", "replay", "convict", "shrink", "bisect", "branch"].contains(&&*verb);
    let form = match (command.split(' ').next()?, verb.as_str()) {
        ("tribunal", _) if is_boxed => return None, // tests/boxes.rs runs them
        ("tribunal", "run") if expects_violation(&command) => (shortened(&command), vec![0, 1, 2]),
        // In one second, none of its faults is due: that is refused.
        ("tribunal", "run") if command.contains("examples/faults.toml") => (shortened(&command), vec![64]),
        ("tribunal", "run") => (shortened(&command), vec![0, 2]),
        ("tribunal", "try") if !command.contains("--list") => return None, // tests/released.rs tries some
        ("tribunal", "matrix") if command.contains("--resume") => return None, // tests/matrix.rs resumes one
        ("tribunal", "matrix") if command.contains("--plan") => (command, vec![0]),
        ("tribunal", "matrix") => (format!("{command} --plan"), vec![0]),
        ("tribunal", "serve") => (format!("timeout 2 {command} --port 0"), vec![0, 124]),
        ("tribunal", "check") | ("cat", _) if command.contains("queue.edn") => (command, vec![1]),
        // `store/latest` may be a shortened run.
        ("tribunal", "check") if command.contains("store/latest") => (command, vec![0, 1, 2]),
        ("tribunal", "verify") => (command, vec![0, 2]),
        ("tribunal" | "cat", _) => (command, vec![0]),
        _ => return None,
    };
    Some(form)
}

/// Whether this machine lacks what a command needs; prints what.
fn lacks(it: &Documented) -> bool {
    let needs = [
        ("--system etcd", "etcd"),
        ("etcd.toml", "etcd"),
        ("| jq", "jq"),
        ("own-system", "python3"),
        ("--system nats", "nats-server"),
        ("--system redis", "redis-sentinel"),
    ];
    let missing = needs.iter().find(|(word, program)| it.command.contains(word) && !has(program));
    if let Some((_, program)) = missing {
        eprintln!("skipped: {}: {program} is not installed", it.place);
    }
    missing.is_some()
}

/// Whether a command needs namespaces or mounted disks, and is refused where they cannot be created.
fn needs_rights(command: &str) -> bool {
    ["--net ", "power", "torn-write", "disk-", "sentinel"].iter().any(|word| command.contains(word))
}

/// Runs all commands, several at a time, and returns the failures.
fn run_all(
    all: Vec<Documented>,
    at_once: usize,
    run: impl Fn(&Documented, &Path) -> Option<String> + Sync,
) -> Vec<String> {
    let due = Mutex::new(all.into_iter());
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                let directory = clone();
                loop {
                    let next = due.lock().expect("no thread panics with it").next();
                    let Some(it) = next else { return };
                    if let Some(what) = run(&it, directory.path()) {
                        wrong.lock().expect("no thread panics with it").push(what);
                    }
                }
            });
        }
    });
    wrong.into_inner().expect("no thread panics with it")
}

/// Why a command did not end as expected, if so.
fn ended_wrong(it: &Documented, command: &str, codes: &[i32], directory: &Path) -> Option<String> {
    let output = shell(command, directory).output().expect("there is a shell");
    let code = output.status.code();
    let told = String::from_utf8_lossy(&output.stderr);
    let out = String::from_utf8_lossy(&output.stdout);
    (!codes.iter().any(|expected| code == Some(*expected)))
        .then(|| format!("{}: `{command}` ended with {code:?}, expected {codes:?}\n{out}{told}", it.place))
}

#[test]
fn documented_commands_run_as_printed() {
    let all = documented();
    assert!(all.len() > 70, "only {} commands were recognised", all.len());
    let wrong = run_all(all, 6, |it, directory| {
        let (command, mut codes) = short_form(&it.command)?;
        if needs_rights(&command) {
            codes.extend([3, 64]);
        }
        if lacks(it) { None } else { ended_wrong(it, &command, &codes, directory) }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
#[ignore = "nightly: about 30 min"]
fn documented_runs_end_as_the_text_says() {
    let runs = documented()
        .into_iter()
        .filter(|it| short_form(&it.command).is_some_and(|(short, _)| short.contains(" run ")));
    let wrong = run_all(runs.collect(), 1, |it, directory| {
        let command = it.command.replace("cargo run --release -- ", "tribunal ") + " --quiet --progress none";
        // A comment that states the outcome takes precedence over the command itself.
        let code = match () {
            () if it.comment.contains("linearizable:") || it.comment.starts_with("convergent") => 0,
            () if expects_violation(&command) => 1,
            () => 0,
        };
        if lacks(it) { None } else { ended_wrong(it, &command, &[code], directory) }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The book has every page, and no other.
#[test]
fn every_page_is_in_the_book() {
    let docs = Path::new(ROOT).join("docs");
    let summary = std::fs::read_to_string(docs.join("SUMMARY.md")).expect("the book has a summary");
    let links = summary.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let mut linked: Vec<String> = links.map(|(name, _)| name.to_string()).collect();
    let pages = std::fs::read_dir(&docs).expect("there are docs");
    let names = pages.map(|page| page.expect("an entry").file_name().into_string().expect("a plain name"));
    let mut pages: Vec<String> = names.filter(|name| name.ends_with(".md") && name != "SUMMARY.md").collect();
    linked.sort();
    pages.sort();
    assert_eq!(linked, pages, "docs/SUMMARY.md against the pages in docs/");
    let index = std::fs::read_to_string(docs.join("README.md")).expect("the docs have an index");
    for page in pages.iter().filter(|page| *page != "README.md") {
        assert!(index.contains(&format!("]({page})")), "docs/README.md lacks {page}");
    }
}

/// The address of a heading, as GitHub and mdBook make it: `## Two checkers` is `two-checkers`.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Every relative link of the pages leads to a file, and to a heading in it; those of docs/ stay there, because
/// they are also a book.
#[test]
fn every_link_leads_somewhere() {
    let docs = Path::new(ROOT).join("docs");
    let mut pages: Vec<PathBuf> = std::fs::read_dir(&docs)
        .expect("there are docs")
        .map(|page| page.expect("an entry").path())
        .collect();
    pages.extend(["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"].map(|name| Path::new(ROOT).join(name)));
    pages.retain(|page| page.extension().is_some_and(|it| it == "md"));
    let (mut links, mut dead) = (0, Vec::new());
    for page in &pages {
        let text = std::fs::read_to_string(page).expect("a readable page");
        // Every second piece is a code block.
        for piece in text.split("```").step_by(2) {
            let targets = piece.split("](").skip(1).filter_map(|rest| rest.split([')', ' ', '\n']).next());
            for target in targets.filter(|target| !target.contains("://")) {
                links += 1;
                let (path, heading) = target.split_once('#').unwrap_or((target, ""));
                let file = if path.is_empty() { page.clone() } else { page.with_file_name(path) };
                let headings = || std::fs::read_to_string(&file).unwrap_or_default();
                // The book has the pages of docs/ only.
                let leaves = page.parent() == Some(&docs) && path.contains("..");
                let is_there = file.exists()
                    && !leaves
                    && (heading.is_empty()
                        || headings().lines().any(|line| {
                            line.starts_with('#') && anchor(line.trim_start_matches('#')) == heading
                        }));
                if !is_there {
                    dead.push(format!("{}: {target}", page.display()));
                }
            }
        }
    }
    assert!(links > 50 && dead.is_empty(), "{links} links, dead:\n{}", dead.join("\n"));
}

/// `cargo test -p X --test Y`, `cargo run --example Z`: the package and the target exist. (`cargo test`
/// itself shows that they work; benchmarks take minutes.)
#[test]
fn documented_cargo_targets_exist() {
    for it in documented() {
        let words: Vec<&str> = it.command.split(' ').collect();
        if words[0] != "cargo" {
            continue;
        }
        let value = |flag: &str| words.iter().position(|word| *word == flag).and_then(|at| words.get(at + 1));
        let package = value("-p").map_or("", |name| name.strip_prefix("tribunal-").unwrap_or(name));
        let places = [ROOT.into(), format!("{ROOT}/examples")];
        let package = places.map(|place| Path::new(&place).join(package)).into_iter().find(|it| it.is_dir());
        let package = package.unwrap_or_default();
        assert!(package.join("Cargo.toml").is_file(), "{}: no package {}", it.place, package.display());
        for (flag, directory) in [("--example", "examples"), ("--bench", "benches")] {
            let Some(name) = value(flag) else { continue };
            let at = package.join(directory).join(name);
            let there = at.with_extension("rs").is_file() || at.join("main.rs").is_file();
            assert!(there, "{}: no {flag} {name}", it.place);
        }
    }
}

/// docs/schedules.md contains the sample file of the repository.
#[test]
fn the_sample_schedule_in_the_docs_is_the_file() {
    let read = |path: &str| std::fs::read_to_string(Path::new(ROOT).join(path)).expect("it is there");
    let lines: Vec<String> = read("docs/schedules.md").lines().map(|line| line.trim().to_string()).collect();
    for line in read("examples/faults.toml").lines().skip(1).filter(|line| !line.is_empty()) {
        assert!(lines.iter().any(|it| it == line.trim()), "docs/schedules.md lacks `{line}`");
    }
}
