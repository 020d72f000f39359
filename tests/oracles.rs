//! The oracles beside the model: each convicts the mistake that it looks for, which no client sees, and says
//! nothing about a system without it.

use std::process::Command;

use serde_json::Value;

use crate::program::{Ended, Store, tribunal};

/// Runs a trial, and returns its end and its verdict.
fn judged(store: &Store, workload: &str, flags: &str) -> (Ended, Value) {
    let mut command = store.command(&format!("run {workload} {flags}"));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let ended = Ended::of(command.output().unwrap());
    let verdict = std::fs::read_to_string(store.run_directory(workload).join("verdict.json"))
        .unwrap_or_else(|error| panic!("{error}: {}{}", ended.stdout, ended.stderr));
    (ended, serde_json::from_str(&verdict).unwrap())
}

/// The oracles of a verdict that found something that counts.
fn found(verdict: &Value) -> Vec<&str> {
    let findings = verdict["findings"].as_array().into_iter().flatten();
    findings.filter(|it| it["excuse"].is_null()).filter_map(|it| it["oracle"].as_str()).collect()
}

/// A description of the server with one mistake.
fn faulty(store: &Store, mistake: &str) -> String {
    let file = store.path().join(format!("{mistake}.toml"));
    let text = include_str!("../examples/own-system/kv.toml");
    let (before, rest) = text.split_once("[node]").unwrap();
    let (_, after) = rest.split_once("[client]").unwrap();
    let node = format!(
        "[node]\ncommand = ['tests/own_system/faulty.py', '{mistake}', '{{id}}', '{{host}}', '{{port.main}}', '{{data}}']\nready = {{ http = '/health' }}\n\n[client]"
    );
    std::fs::write(&file, format!("{before}{node}{after}")).unwrap();
    file.display().to_string()
}

#[test]
fn what_no_client_sees_is_found_by_the_oracle_that_looks_for_it() {
    if Command::new("python3").arg("--version").output().is_err() {
        assert!(std::env::var_os("TRIBUNAL_NO_SKIP").is_none(), "there is no python3");
        return eprintln!("skipped: there is no python3 here (Debian: python3)");
    }
    let kill = "[[step]]\nat = '1s'\nhold = '600ms'\nacts = ['kill n2', '@500 start n2']\n";
    for (mistake, sentence) in [
        ("none", "Linearizable."),
        ("crash", "n2 crashed: exit status: 9. The answers to clients are linearizable."),
        ("log", "n2 logged a line that no correct node logs: panic: runtime error"),
        ("restart", "n2 did not start again on its own data: exit status: 7."),
        ("recovery", "n2 does not serve 2s after all faults were healed: "),
    ] {
        let store = Store::new();
        let schedule = store.path().join("faults.toml");
        std::fs::write(&schedule, kill).unwrap();
        let flags = format!(
            "--system {} --nodes 3 --rate 100 --time-limit 3s --seed 1 --schedule {} --recovery-limit 2s",
            faulty(&store, mistake),
            schedule.display()
        );
        let (ended, verdict) = judged(&store, "register", &flags);
        let (code, expected) = if mistake == "none" { (Some(0), vec![]) } else { (Some(1), vec![mistake]) };
        let said = format!("{mistake}: {}{}{verdict:#}", ended.stdout, ended.stderr);
        assert_eq!((ended.code, found(&verdict)), (code, expected), "{said}");
        assert!(verdict["sentence"].as_str().unwrap().contains(sentence), "{said}");
        store.await_silence();
    }
}

#[test]
fn an_oracle_that_is_switched_off_finds_nothing() {
    let store = Store::new();
    let flags = "--nodes 3 --time-limit 2s --seed 1 --nemesis none --skip-oracle divergence,recovery";
    let (ended, verdict) = judged(&store, "register", flags);
    let looked: Vec<&str> =
        verdict["oracles"].as_array().unwrap().iter().map(|it| it["oracle"].as_str().unwrap()).collect();
    // On a busy machine too few operations may succeed for a pass.
    assert!(matches!(ended.code, Some(0 | 2)), "{}", ended.stdout);
    assert_eq!(looked, ["agreement", "crash", "restart", "log"]);
    let compared = verdict["oracles"][0]["times"].as_u64().unwrap();
    assert!(compared > 0, "{verdict:#}");
}

/// Clients of this run see nothing: they only write, and nobody reads what was carried out twice.
#[test]
fn replicas_that_differ_are_told_apart() {
    let store = Store::new();
    let flags = "--nodes 3 --time-limit 60s --seed 1 --nemesis kill \
                 --bug snapshot-without-sessions --node-arg --snapshot-every=200";
    let (ended, verdict) = judged(&store, "counter", flags);
    assert_eq!(ended.code, Some(1), "{}", ended.stdout);
    // Two pairs of replicas may differ before the run stops.
    let mut oracles = found(&verdict);
    oracles.dedup();
    assert_eq!(oracles, ["divergence"], "{verdict:#}");
    let sentence = verdict["sentence"].as_str().unwrap();
    assert!(sentence.contains("applied the same entries"), "{sentence}");

    // No other verb calls the run what it is not, or claims to have verified what it cannot see.
    let run = store.run_directory("counter").display().to_string();
    let of = |words: &str| {
        let ended = Ended::of(tribunal(words.split_whitespace()).output().unwrap());
        assert!(!ended.stdout.contains("not linearizable"), "{words}: {}", ended.stdout);
        ended
    };
    let listed = of(&format!("list runs --store {}", store.path().display())).stdout;
    assert!(listed.contains("✗ replicas differ"), "{listed}");
    let diff = of(&format!("diff {run} {run}")).expect(0).stdout;
    let rows: Vec<Vec<&str>> = diff.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(rows.contains(&vec!["violation", "divergence", "divergence"]), "{diff}");
    assert!(diff.contains("✗ replicas differ"), "{diff}");
    let verified = of(&format!("verify {run}")).expect(2).stdout;
    assert!(verified.contains("not verified: ") && verified.contains("divergence"), "{verified}");
    assert!(verified.contains("the recorded history is linearizable"), "{verified}");
}

/// A node that is wrong and forwards its reads is seen only if it leads.
#[test]
fn each_node_leads_in_the_end() {
    let store = Store::new();
    judged(&store, "mixed", "--nodes 3 --time-limit 20s --seed 1 --nemesis partition");
    let info = std::fs::read_to_string(store.run_directory("mixed").join("run.json")).unwrap();
    let info: Value = serde_json::from_str(&info).unwrap();
    let led = info["led"].as_array().map_or(0, Vec::len);
    assert!(led >= 2, "{info:#}");
    let store = Store::new();
    judged(&store, "mixed", "--nodes 3 --time-limit 3s --seed 1 --nemesis none");
    let info = std::fs::read_to_string(store.run_directory("mixed").join("run.json")).unwrap();
    assert!(!info.contains("\"led\""), "no link is cut in a run that asks for no partition: {info}");
}

#[test]
fn two_leaders_of_one_term_are_named() {
    let store = Store::new();
    let flags = "--nodes 3 --time-limit 120s --seed 1 --nemesis kill:bridge --bug forget-term \
                 --node-arg --election-timeout=400-800";
    let (ended, verdict) = judged(&store, "counter", flags);
    assert_eq!(ended.code, Some(1), "{}", ended.stdout);
    assert!(found(&verdict).contains(&"agreement"), "{verdict:#}");
}
