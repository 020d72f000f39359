//! Another server listens on a node's port while the node is down.

use std::process::{Child, Stdio};

use crate::program::{Ended, Store, tribunal, wait_until};

/// A process that is killed at the end of the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The command line of node n1, while it is up.
fn node(store: &Store) -> Option<Vec<String>> {
    let words = |line: String| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    store.processes().into_iter().find(|line| line.contains(" node raft --id n1 ")).map(words)
}

fn word_after(words: &[String], flag: &str) -> String {
    words[1 + words.iter().position(|word| word == flag).expect("the flag is there")].clone()
}

/// A node of another cluster takes the ports. It answers clients with the data of its own cluster; if its
/// answers counted, they would prove a violation of a correct system.
#[test]
fn a_node_of_another_cluster_on_the_ports_is_a_harness_failure_that_names_it() {
    let store = Store::in_memory();
    let schedule = store.path().join("kill.toml");
    std::fs::write(&schedule, "[[step]]\nat = '500ms'\nhold = '50s'\nacts = ['kill n1']").unwrap();
    let args = "run register --nodes 3 --rate 200 --time-limit 60s --seed 3 --schedule";
    let run = store.command(&format!("{args} {}", schedule.display())).spawn().expect("it starts");
    wait_until("n1 is up", || node(&store).is_some());
    let words = node(&store).expect("it is up");
    let [listen, client] = ["--listen", "--client"].map(|flag| word_after(&words, flag));
    wait_until("n1 is down", || node(&store).is_none());
    let elsewhere = Store::new();
    let stranger =
        tribunal(["node", "raft", "--id", "n9", "--listen", &listen, "--client", &client, "--data"])
            .arg(elsewhere.path().join("n9"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
    let stranger = Killed(stranger.expect("it starts"));

    let ended = Ended::of(run.wait_with_output().expect("it ends")).expect(3);
    let flat = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let named = format!("is the port of n1, and process {} (tribunal)", stranger.0.id());
    assert!(flat.contains(&named), "{}", ended.stdout);
    assert!(!flat.contains("not linearizable"), "{}", ended.stdout);
}
