//! Wrong input is refused before anything is started, with one line that says what to do: a table.

use anyhow::anyhow;
use clap::{CommandFactory, FromArgMatches};
use tribunal::{Registry, Run as _, TrialError};

use super::{Cli, Verb, errors};
use crate::exit;

/// The exit code and the message of a command line; `(0, "")` if nothing is wrong before the start.
fn refused(words: &[&str]) -> (u8, String) {
    let all = std::iter::once("tribunal").chain(words.iter().copied());
    let parsed = Cli::command().try_get_matches_from(all).and_then(|matches| {
        let cli = Cli::from_arg_matches(&matches)?;
        Ok((cli, matches))
    });
    let command = Cli::command();
    let verbs: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    let (verb, matches) = match parsed {
        Ok((cli, matches)) => (cli.verb, matches),
        Err(error) => {
            return (
                exit::USAGE,
                errors::message(&error, &verbs, verbs.iter().find(|verb| words.contains(verb)).copied()),
            );
        }
    };
    let Verb::Run(args) = verb else { return (0, String::new()) };
    let run = match args.resolve(matches.subcommand_matches("run").expect("it is the verb")) {
        Ok(run) => run,
        Err(error) => return (exit::USAGE, format!("{error:#}")),
    };
    match run.spec.ensure_possible(&Registry::built_in()) {
        Ok(()) => (0, String::new()),
        Err(TrialError::Spec(why)) => (exit::USAGE, why),
        Err(error) => (exit::HARNESS, format!("{:#}", anyhow!(error))),
    }
}

/// Compares all command lines with their messages; a failure names every wrong one.
fn check<'a>(lines: impl Iterator<Item = (String, &'a str)>) {
    let wrong = lines.filter_map(|(line, expected)| {
        let said = refused(&line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>());
        (said != (exit::USAGE, expected.to_string())).then(|| format!("{line}: {} {}", said.0, said.1))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// With `run register` before each.
const RUN: &[(&str, &str)] = &[
    ("--time-limit 0s", "--time-limit: `0s`: expected more than zero, such as 500ms"),
    ("--time-limit 30", "--time-limit: `30`: expected a duration with its unit, such as 500ms, 30s or 2m"),
    ("--time-limit -1s", "--time-limit: `-1s`: a duration cannot be negative"),
    ("--time-limit 2years", "--time-limit: `2years`: expected at most a year"),
    (
        "--time-limit soon",
        "--time-limit: `soon`: expected a duration with its unit, such as 500ms, 30s or 2m",
    ),
    ("--time-limit", "--time-limit: expected a value: see `tribunal run --help`"),
    ("--op-timeout 11m", "--op-timeout: `11m`: expected at most 10m"),
    ("--op-timeout 0ms", "--op-timeout: `0ms`: expected more than zero, such as 500ms"),
    ("--settle -3s", "--settle: `-3s`: a duration cannot be negative"),
    ("--nemesis-interval 0s", "--nemesis-interval: `0s`: expected more than zero, such as 500ms"),
    ("--nemesis-interval 100us", "--nemesis-interval: expected 1ms or more, and at most a year"),
    ("--check-time-limit 0s", "--check-time-limit: `0s`: expected more than zero, such as 500ms"),
    (
        "--check-memory-limit 2",
        "--check-memory-limit: `2`: expected a size with its unit, such as 512MiB or 2GiB",
    ),
    (
        "--check-states-limit -1",
        "--check-states-limit: `-1`: expected a whole number from 0 to 18446744073709551615",
    ),
    ("--disk-size -1GiB", "--disk-size: `-1GiB`: expected a size with its unit, such as 512MiB or 2GiB"),
    ("--box-seed 3", "--box-seed: expected --box, too"),
    ("--box-memory 2GiB", "--box-memory: expected --box, too"),
    ("--nodes 0", "--nodes: `0`: expected a whole number from 1 to 25"),
    ("--nodes 26", "--nodes: `26`: expected a whole number from 1 to 25"),
    ("--nodes -1", "--nodes: `-1`: expected a whole number from 1 to 25"),
    ("--nodes five", "--nodes: `five`: expected a whole number from 1 to 25"),
    (
        "--concurrency 0",
        "--concurrency: `0`: expected a number from 1 to 1000, or a multiple of the nodes such as 3n",
    ),
    (
        "--concurrency -3n",
        "--concurrency: `-3n`: expected a number from 1 to 1000, or a multiple of the nodes such as 3n",
    ),
    (
        "--rate -5",
        "--rate: `-5`: expected operations per second, from 0.001 to 1000000000, or `full`, or `bursts`",
    ),
    (
        "--rate fast",
        "--rate: `fast`: expected operations per second, from 0.001 to 1000000000, or `full`, or `bursts`",
    ),
    ("--rate spells", "--rate: `spells` is now called `bursts`"),
    ("--keys -1", "--keys: `-1`: expected a whole number from 1 to 1000000"),
    ("--ops-per-key 0", "--ops-per-key: `0`: expected a whole number from 1 to 1000000"),
    ("--reads 2", "--reads: `2`: expected a share from 0 to 1, such as 0.9"),
    ("--availability -0.5", "--availability: `-0.5`: expected a share from 0 to 1, such as 0.9"),
    ("--skip-oracle crsh", "--skip-oracle: there is no oracle `crsh`: did you mean `crash`?"),
    ("--skip-oracle model", "--skip-oracle: the model cannot be switched off"),
    ("--seed -1", "--seed: `-1`: expected a whole number from 0 to 18446744073709551615"),
    ("--seed x", "--seed: `x`: expected a whole number from 0 to 18446744073709551615"),
    ("--repeat 0", "--repeat: `0`: expected a whole number from 1 to 100000"),
    ("--system rraft", "there is no system `rraft`: did you mean `raft`?"),
    (
        "--system mongodb",
        "there is no system `mongodb`: expected one of raft, paxos, zab, etcd, synod, abd, gossip, primary-backup, \
         two-primaries, last-id, ttl-lock, two-phase-commit, zookeeper, redis, redis-sentinel, nats, rabbitmq, postgres, \
         galera, ovsdb, antietcd",
    ),
    (
        "--system zookeeper:local-read",
        "there is no system `zookeeper:local-read`: did you mean `zookeeper:local-reads`?",
    ),
    ("--system no/such.toml", "cannot read no/such.toml: No such file or directory (os error 2)"),
    ("--model regster", "--model: there is no model `regster`: did you mean `register`?"),
    ("--model queue", "--model: queue does not fit the workload register: expected cas-register"),
    ("--bug stale-raed", "raft has no bug `stale-raed`: did you mean `stale-read`?"),
    ("--net wifi", "--net: `wifi`: expected one of proxy, transparent, netns"),
    ("--net prxy", "--net: `prxy`: did you mean `proxy`?"),
    ("--disk fus", "--disk: `fus`: did you mean `fuse`?"),
    ("--progress bars", "--progress: `bars`: did you mean `bar`?"),
    ("--format yaml", "--format: `yaml`: expected one of text, json"),
    ("--color purple", "--color: `purple`: expected one of auto, always, never"),
    ("--time-limt 3s", "there is no flag `--time-limt`: did you mean `--time-limit`?"),
    ("--zzz", "there is no flag `--zzz`: see `tribunal run --help`"),
    ("counter", "unexpected argument `counter`: see `tribunal run --help`"),
    ("-z", "unexpected argument `-z`: see `tribunal run --help`"),
    ("--seed 1 --seed 2", "--seed was given more than once"),
    ("-q -v", "--quiet cannot be combined with --verbose"),
    ("--junit a --repeat 2", "--junit cannot be combined with --repeat"),
    ("--grudge n1>n2 --nemesis kill", "--grudge cannot be combined with --nemesis"),
    ("--config no/such/file", "no/such/file: cannot read it: No such file or directory (os error 2)"),
    ("--schedule no/such/file", "cannot read no/such/file: No such file or directory (os error 2)"),
    ("--nemesis kil", "--nemesis: there is no fault `kil`: did you mean `kill`?"),
    ("--nemesis kill,kill", "--nemesis: kill is named twice"),
    ("--nemesis kill,all", "--nemesis: `all` cannot be combined with other faults"),
    ("--nemesis kill:leadr", "--nemesis: there is no kind of kill `leadr`: did you mean `leader`?"),
    ("--grudge n1", "--grudge: `n1` is not a partition: expected n1>n2, n1|n2, {n1,n2 | n3} or {n1 > n2,n3}"),
    ("--nodes 3 --grudge n1>n4", "--grudge: there is no n4 in a cluster of 3"),
    // Known before the start: the cluster, the system, the net and the disk.
    (
        "--nodes 1 --nemesis partition",
        "--nemesis: partition cannot be injected: it needs more than 1 node (--nodes)",
    ),
    ("--nodes 1", "--nemesis: partition cannot be injected: it needs more than 1 node (--nodes)"),
    (
        "--nodes 2 --nemesis wipe",
        "--nemesis: wipe cannot be injected: it needs 3 nodes or more (--nodes): most of them keep their files",
    ),
    ("--nemesis loss", "--nemesis: loss cannot be injected: a proxy cannot lose packets: use --net netns"),
    (
        "--nemesis corrupt --net netns",
        "--nemesis: corrupt cannot be injected: flip_one_in needs a proxy: use --net proxy or --net transparent",
    ),
    (
        "--nemesis power --disk plain",
        "--nemesis: power cannot be injected: a plain disk loses nothing: use --disk fuse or --disk ext4",
    ),
    (
        "--nemesis disk-full --disk ext4",
        "--nemesis: disk-full cannot be injected: only a fuse disk fails on demand: use --disk fuse",
    ),
    (
        "--system paxos --nemesis transfer",
        "--nemesis: transfer cannot be injected: Tribunal cannot change the members of paxos",
    ),
    (
        "--nemesis kill --time-limit 1s --nemesis-interval 5s --seed 1",
        "--nemesis-interval 5s: no room for kill within --time-limit 1s: try --nemesis-interval 625ms, or a longer \
         --time-limit",
    ),
    (
        "--grudge n1>n2 --time-limit 100ms",
        "--nemesis-interval 2s: no room for a partition within --time-limit 100ms",
    ),
];

/// Whole command lines.
const OTHER: &[(&str, &str)] = &[
    ("chek", "there is no command `chek`: did you mean `check`?"),
    ("rnu", "there is no command `rnu`: did you mean `run`?"),
    ("xyzzy", "there is no command `xyzzy`: see `tribunal --help`"),
    ("node rafft", "there is no command `rafft`: did you mean `raft`?"),
    ("run", "expected a workload, such as `tribunal run register` (tribunal list workloads)"),
    ("run regisster", "there is no workload `regisster`: did you mean `register`?"),
    (
        "run poetry",
        "there is no workload `poetry`: expected one of mixed, register, rw-register, decide, counter, set, append, queue, \
         lock, fenced-lock, election, unique-ids, order-ids, broadcast",
    ),
    ("run queue --system abd", "abd does not support the workload queue: expected one of mixed, rw-register"),
    (
        "run election --system ttl-lock",
        "the model fencing-lock cannot judge the responses of ttl-lock: expected --model mutex",
    ),
    ("run queue --reads 0.5", "--reads: the workload queue only reads at the end of the run"),
    ("check", "expected <PATH>...: see `tribunal check --help`"),
    ("check --model regster x", "--model: `regster`: did you mean `register`?"),
    ("check --threads 0 x", "--threads: `0`: expected a whole number from 1 to 1024"),
    ("check --from jsnl x", "--from: `jsnl`: did you mean `jsonl`?"),
    ("check --time-unit h x", "--time-unit: `h`: expected one of ns, us, ms, s"),
    ("convert a", "expected <OUT>: see `tribunal convert --help`"),
    ("list modles", "<WHAT>: `modles`: did you mean `models`?"),
    ("matrix --seeds 0", "--seeds: `0`: expected a whole number from 1 to 10000"),
    ("matrix --jobs -1", "--jobs: `-1`: expected a whole number from 1 to 64"),
    ("matrix --budget 0s", "--budget: `0s`: expected more than zero, such as 500ms"),
    ("matrix --resume x --plan", "--resume cannot be combined with --plan"),
    ("serve --port 99999", "--port: `99999`: expected a whole number from 0 to 65535"),
    ("clean --keep x", "--keep: `x`: expected a whole number, 0 or more"),
    ("doctor raft --nodes 0", "--nodes: `0`: expected a whole number from 1 to 25"),
    ("completions fihs", "<SHELL>: `fihs`: did you mean `fish`?"),
];

#[test]
fn wrong_flags_of_run_are_refused() {
    check(RUN.iter().map(|(flags, expected)| (format!("run register {flags}"), *expected)));
}

#[test]
fn other_wrong_commands_are_refused() {
    check(OTHER.iter().map(|(line, expected)| (line.to_string(), *expected)));
}

/// The place and the reason of an error in a schedule.
#[test]
fn wrong_schedules_are_refused_with_their_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("faults.toml");
    for (text, expected) in [
        ("", "1:1: expected a phase, a step or a trigger, found none"),
        ("[[step]]\nat = 1", "2:6: invalid type: integer `1`, expected a text in quotes"),
        ("[[phase]]\nlasts = '3'", "2:9: `3`: expected a duration with its unit, such as 500ms, 30s or 2m"),
        (
            "\n[[step]]\nat = '1s'\nhold = '1s'\nfault = 'kil:one'",
            "2:1: step 1: there is no fault `kil`: did you mean `kill`?",
        ),
        (
            "[[step]]\nat = '1s'\nhold = '1s'\nacts = ['kill n6']",
            "1:1: step 1: there is no n6 in a cluster of 5",
        ),
        ("[[step]]\nat = '1s'\nhold = '1s'", "1:1: step 1: give one of fault, grudge and acts"),
        (
            "\n\n[[phase]]\nlasts = '10s'\nnemesis = 'loss'",
            "3:1: phase 1: loss cannot be injected: a proxy cannot lose packets: use --net netns",
        ),
        (
            "[[phase]]\nlasts = '1s'\nnemesis = 'kill'\ninterval = '4s'",
            "1:1: phase 1: no room for kill in 1000 ms with an interval of 4000 ms: try interval = \"1000ms\"",
        ),
    ] {
        std::fs::write(&path, text).unwrap();
        let (code, said) = refused(&["run", "register", "--schedule", path.to_str().unwrap()]);
        assert_eq!((code, said), (exit::USAGE, format!("{}:{expected}", path.display())), "{text}");
    }
    std::fs::write(&path, "[[step]]\nat = '40s'\nhold = '1s'\nfault = 'kill:one'").unwrap();
    let (code, said) = refused(&["run", "register", "--schedule", path.to_str().unwrap()]);
    let expected = format!("{}: kill is first due at 40s, after --time-limit 30s", path.display());
    assert_eq!((code, said), (exit::USAGE, expected));
}

#[test]
fn right_input_is_not_refused() {
    for line in [
        "run register",
        "run register --rate bursts --nemesis usual",
        "run register --nemesis all --nemesis-interval 200ms",
        "run register --time-limit 1s --nemesis none",
        "run register --nodes 2 --nemesis partition",
        "run register --time-limit 5s",
        "check x",
    ] {
        assert_eq!(refused(&line.split(' ').collect::<Vec<_>>()), (0, String::new()), "{line}");
    }
}
