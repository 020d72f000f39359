//! Nodes that are cut off from their clients, and partly also from each other.

use serde_json::Value;

use crate::program::Store;

/// The lines of a file of the only run.
fn lines(store: &Store, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(store.run_directory("register").join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Number of operations invoked at `node` that succeeded, with both times in the interval, in nanoseconds.
fn answered(history: &[Value], node: &str, from: u64, to: u64) -> usize {
    let within =
        |event: &&Value| event["node"] == node && (from..to).contains(&event["t"].as_u64().expect("a time"));
    let mut asked: Vec<&Value> = Vec::new();
    let mut answered = 0;
    for event in history.iter().filter(within) {
        match event["type"].as_str() {
            Some("invoke") => asked.push(&event["p"]),
            Some("ok") if asked.contains(&&event["p"]) => answered += 1,
            _ => {}
        }
    }
    answered
}

/// Cuts n1 off from its clients for a while, and checks whose operations succeed during and after it.
fn n1_is_parted_from_its_clients(net: &str) {
    let store = Store::new();
    let schedule = store.path().join("part.toml");
    std::fs::write(&schedule, "[[step]]\nat = '1s'\nhold = '2500ms'\ngrudge = '{n1 | clients}'").unwrap();
    let args = format!("--nodes 3 --time-limit 6s --op-timeout 300ms --net {net}");
    store.run(&format!("run register {args} --schedule {}", schedule.display())).expect(0);

    let (faults, history) = (lines(&store, "faults.jsonl"), lines(&store, "history.jsonl"));
    let time = |event: &str| {
        let of = faults.iter().find(|line| line["event"] == event).expect("it was applied and healed");
        of["t"].as_u64().expect("a time")
    };
    let (applied, healed) = (time("apply"), time("heal"));
    let cut = (applied + 500_000_000, applied + 2_000_000_000);
    assert_eq!(answered(&history, "n1", cut.0, cut.1), 0, "{net}: clients of n1 are not answered");
    for other in ["n2", "n3"] {
        // n1 continues to work with its peers.
        assert!(answered(&history, other, cut.0, cut.1) > 0, "{net}: clients of {other} are");
    }
    assert!(answered(&history, "n1", healed, u64::MAX) > 0, "{net}: n1 is healed");
}

#[test]
fn a_node_is_cut_off_from_its_clients_and_not_from_its_peers() {
    n1_is_parted_from_its_clients("proxy");
    if crate::namespaces::allowed() {
        n1_is_parted_from_its_clients("netns");
    }
}

#[test]
fn every_partition_of_nodes_and_clients_has_an_effect_and_heals() {
    let store = Store::new();
    let faults = "--nemesis clients --nemesis-interval 1500ms --time-limit 12s --seed 3";
    store.run(&format!("run register --nodes 3 --op-timeout 300ms {faults}")).expect(0);
    let healed = lines(&store, "faults.jsonl").into_iter().filter(|line| line["event"] == "heal");
    let mut bitten: Vec<String> = healed
        .filter(|line| line["effective"] == true)
        .map(|line| line["kind"].as_str().expect("a kind").to_owned())
        .collect();
    bitten.sort();
    bitten.dedup();
    assert_eq!(bitten, ["leader", "leader-alone", "leader-answers", "minority-alone", "one"]);
}
