//! A run that tests nothing, or whose faults have no effect, is not a pass.

use std::io::Write;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::program::{Ended, Store, tribunal, wait_until};

/// A run with this schedule.
fn run_with_schedule(schedule: &str, args: &str) -> Ended {
    let store = Store::in_memory();
    let path = store.path().join("schedule.toml");
    std::fs::write(&path, schedule).unwrap();
    let ended = store.run(&format!("run register --nodes 3 --seed 1 {args} --schedule {}", path.display()));
    assert_eq!(store.processes(), [""; 0]);
    ended
}

fn expect_unknown(ended: Ended, says: &str) {
    let ended = ended.expect(2);
    let printed = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(printed.contains(says), "{}", ended.stdout);
}

#[test]
fn a_run_whose_majority_is_dead_is_unknown() {
    let dead = "[[step]]\nat = '0s'\nhold = '3s'\nfault = 'kill:majority'";
    expect_unknown(
        run_with_schedule(dead, "--time-limit 2s --rate 10"),
        "the run did not test what was requested",
    );
}

#[test]
fn a_run_that_only_reads_is_unknown() {
    let store = Store::in_memory();
    let ended = store.run("run register --nodes 3 --nemesis none --time-limit 500ms --reads 1 --seed 1");
    expect_unknown(ended, "no write was sent; no cas was sent");
}

/// The nodes stop making progress once they should converge.
#[test]
fn keys_without_final_reads_have_not_converged() {
    let store = Store::in_memory();
    let run = "run broadcast --system gossip --nodes 3 --nemesis none --time-limit 1s --rate 100 --seed 1 \
               --settle 1s --op-timeout 50ms";
    let child = store.command(run).spawn().expect("it starts");
    let said = |what: &str| {
        let runs = std::fs::read_dir(store.path().join("broadcast")).into_iter().flatten().flatten();
        runs.filter_map(|run| std::fs::read_to_string(run.path().join("controller.log")).ok())
            .any(|log| log.contains(what))
    };
    wait_until("the nodes are to converge", || said("converging"));
    for node in nodes(&store) {
        kill(node, Signal::SIGSTOP).expect("it is ours");
    }
    expect_unknown(Ended::of(child.wait_with_output().unwrap()), "final reads were not answered");
    let check = Ended::of(tribunal(["check"]).arg(store.run_directory("broadcast")).output().unwrap());
    assert!(check.expect(2).stdout.contains("final reads were not answered"));
}

/// The processes of built-in nodes that use a store.
fn nodes(store: &Store) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").expect("/proc is mounted").flatten();
    let node = |entry: std::fs::DirEntry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let is_node = line.contains(" node ") && line.contains(&*store.path().to_string_lossy());
        is_node.then(|| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw)).flatten()
    };
    entries.filter_map(node).collect()
}

#[test]
fn a_history_in_which_nothing_succeeded_is_unknown() {
    let history =
        "{:type :invoke, :process 0, :f :write, :value 1}\n{:type :info, :process 0, :f :write, :value 1}\n";
    let mut child = tribunal(["check", "--model", "register", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().expect("it is piped").write_all(history.as_bytes()).unwrap();
    expect_unknown(Ended::of(child.wait_with_output().unwrap()), "None of 1 operation succeeded");
}

#[test]
fn a_history_without_final_reads_is_not_convergent() {
    let history = "{\"i\":0,\"t\":1,\"p\":0,\"type\":\"invoke\",\"f\":\"add\",\"v\":1}\n\
                   {\"i\":1,\"t\":2,\"p\":0,\"type\":\"ok\",\"f\":\"add\",\"v\":1}\n";
    let mut child =
        tribunal(["check", "--model", "convergent-set", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().expect("it is piped").write_all(history.as_bytes()).unwrap();
    expect_unknown(Ended::of(child.wait_with_output().unwrap()), "no final read that was answered");
}

#[test]
fn degrading_a_link_without_parameters_is_refused() {
    let nothing = "[[step]]\nat = '1s'\nhold = '1s'\nacts = ['degrade n1>n2 delay_ms=0']";
    let ended = run_with_schedule(nothing, "--time-limit 3s --rate 100").expect(64);
    assert!(ended.stderr.contains("degrades nothing"), "{}", ended.stderr);
}

/// All parameters exceed the traffic: the bandwidth, the interval of bit flips, the size of writes.
#[test]
fn a_barely_degraded_link_is_a_fault_without_effect() {
    let hardly = "[[step]]\nat = '500ms'\nhold = '1s'\nacts = ['degrade n1>n2 bytes_per_s=1000000000000', \
                  'degrade n2>n1 flip_one_in=1000000000000000', 'degrade n2>n3 write_max=1000000']";
    let ended = run_with_schedule(hardly, "--time-limit 2s --rate 100");
    expect_unknown(ended, "the scheduled acts had no effect");
}

/// A node that another fault keeps down has not died of its limits.
#[test]
fn a_limit_on_a_node_that_is_down_had_no_effect() {
    let both = "[[step]]\nat = '300ms'\nhold = '2s'\nfault = 'kill:one'\n\
                [[step]]\nat = '600ms'\nhold = '500ms'\nacts = ['limit n1 files=1000000', 'limit n2 files=1000000', \
                'limit n3 files=1000000']";
    let ended = run_with_schedule(both, "--time-limit 3s --rate 100");
    expect_unknown(ended, "the scheduled acts had no effect");
}
