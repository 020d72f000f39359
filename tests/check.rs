//! `tribunal check` and `tribunal convert` on recorded histories.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use crate::program::{Ended, Store, tribunal};

/// A history from the checker's test data.
fn golden(name: &str) -> String {
    format!("{}/checker/histories/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn check(model: &str, paths: &[&str]) -> Ended {
    Ended::of(tribunal(["check", "--model", model]).args(paths).output().unwrap())
}

/// Runs the program with this standard input.
fn piped(args: &[&str], input: &[u8]) -> Ended {
    let mut child = tribunal(args).stdin(Stdio::piped()).spawn().unwrap();
    // The program may exit without reading it.
    let _ = child.stdin.take().expect("it is piped").write_all(input);
    Ended::of(child.wait_with_output().unwrap())
}

#[test]
fn many_histories_are_judged_in_the_order_of_the_arguments() {
    let (good, stale, lost) =
        (golden("own/late-write.edn"), golden("own/stale-read.edn"), golden("own/flickering-write.edn"));
    let ended = check("register", &[&stale, &good, &lost]).expect(1);
    let verdicts: Vec<_> = ended.stdout.lines().filter(|line| !line.starts_with(' ')).collect();
    let expected = [
        format!("{stale}: not linearizable · register · 2 ops"),
        format!("{good}: linearizable · register · 4 ops"),
        format!("{lost}: not linearizable · register · 4 ops"),
    ];
    assert_eq!(verdicts, expected);
    assert_eq!(ended.stderr, "3 histories: 1 linearizable, 2 not, 0 unknown\n");
}

#[test]
fn a_violation_wins_over_an_error_and_an_error_over_unknown() {
    let (good, stale, empty) = (golden("own/late-write.edn"), golden("own/stale-read.edn"), "/dev/null");
    check("register", &[&good]).expect(0);
    check("register", &[&good, empty]).expect(2);
    check("register", &[&good, empty, "no/such/file"]).expect(64);
    check("register", &[&good, empty, "no/such/file", &stale]).expect(1);
}

#[test]
fn initial_values_are_given_by_a_flag_and_suggested_by_a_hint() {
    let text = "0\t:invoke\t:read\tnil\n0\t:ok\t:read\t4\n0\t:invoke\t:cas\t[4 0]\n0\t:ok\t:cas\t[4 0]\n";
    let check = ["check", "--model", "cas-register"];
    let ended = piped(&[&check[..], &["-"]].concat(), text.as_bytes()).expect(1);
    assert!(ended.stdout.contains("(`--initial 4`)"), "{}", ended.stdout);
    piped(&[&check[..], &["--initial", "4", "-"]].concat(), text.as_bytes()).expect(0);
    piped(&[&check[..], &["--initial", "x=4", "-"]].concat(), text.as_bytes()).expect(1);
    // With several objects, the hint names the one.
    let mixed = r#"{"client":1,"f":"read","key":"counter-b","out":3,"call":5,"ret":6}"#;
    let ended = piped(&["check", "--model", "mixed", "-"], mixed.as_bytes()).expect(1);
    assert!(ended.stdout.contains("(`--initial counter-b=3`)"), "{}", ended.stdout);
    let initial = ["check", "--model", "mixed", "--initial", "counter-b=3", "-"];
    piped(&initial, mixed.as_bytes()).expect(0);
    let refused = piped(&["check", "--model", "counter", "--initial", "four", "-"], b"").expect(64);
    assert!(
        refused.stderr.contains("--initial four: expected an integer for counter, found `four`"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_violation_is_shown_with_its_evidence() {
    let ended = check("register", &[&golden("own/stale-read.edn")]).expect(1);
    for expected in ["① p0 write 1      lines 2–3", "✗ p1 read → nil   lines 4–5", "the register holds 1"]
    {
        assert!(ended.stdout.contains(expected), "{}", ended.stdout);
    }
}

#[test]
fn json_has_one_verdict_per_line_and_nothing_else() {
    let (good, stale) = (golden("own/late-write.edn"), golden("own/stale-read.edn"));
    let ended = check("register", &["--format", "json", &good, "no/such/file", &stale]).expect(1);
    let verdicts: Vec<serde_json::Value> =
        ended.stdout.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect();
    let said: Vec<_> =
        verdicts.iter().map(|v| (v["file"].as_str().unwrap(), v["outcome"].as_str().unwrap())).collect();
    assert_eq!(said, [(&*good, "linearizable"), (&*stale, "violation")]);
    assert_eq!(verdicts[1]["checker"]["violation"]["class"], "missed-write");
    assert!(ended.stderr.contains("no/such/file"), "{}", ended.stderr);
}

#[test]
fn a_reached_limit_is_unknown_and_names_its_flag() {
    let ended =
        check("cas-register", &["--check-states-limit", "3", &golden("knossos/good/memstress3-10.edn")])
            .expect(2);
    assert!(ended.stdout.contains("--check-states-limit"), "{}", ended.stdout);
}

#[test]
fn a_run_directory_names_its_model_and_is_not_changed() {
    let store = Store::new();
    let file = |name: &str| store.path().join(name);
    std::fs::write(file("run.json"), r#"{"schema_version":1,"model":"register"}"#).unwrap();
    std::fs::copy(golden("own/tied-times.jsonl"), file("history.jsonl")).unwrap();
    let ended = Ended::of(tribunal(["check"]).arg(store.path()).output().unwrap()).expect(0);
    assert!(ended.stdout.ends_with(": linearizable · register · 2 ops\n"), "{}", ended.stdout);
    let mut names: Vec<_> =
        std::fs::read_dir(store.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["history.jsonl", "run.json"]);
}

#[test]
fn every_format_says_where_it_is_malformed() {
    for (text, complaint) in [
        ("{\"i\":0,\"t\":1,\"p\":0,\"type\":\"invoke\",\"f\":5}\n", "<stdin>:1:1: expected an event such as"),
        (
            "{\"client\":0,\"f\":\"read\",\"call\":2,\"ret\":1}",
            "<stdin>:1:1: expected a return at 2 or later, found one at 1",
        ),
        (
            "[{:process 0 :type :invoke :f :read}\n {:process 0",
            "<stdin>:2:13: expected `}`, found the end of the input",
        ),
        ("{\"process\":0,\"type\":\"invoke\"", "<stdin>:1:29: expected `}`, found the end of the input"),
        ("0\t:invoke\t:read\tnil\n0\t:ok", "<stdin>:2:6: expected what is asked, such as :read"),
        (
            "INFO jepsen.util - 0\t:ok\t:read\tnil",
            "<stdin>:1:20: expected an event that can follow those before it",
        ),
        ("what is this", "<stdin>:1:1: expected a history in one of the formats jsonl, finished, edn"),
    ] {
        let ended = piped(&["check", "--model", "register", "-"], text.as_bytes()).expect(64);
        assert!(ended.stderr.starts_with(&format!("error: {complaint}")), "{text}\n{}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
}

#[test]
fn a_converted_history_gets_the_same_verdict() {
    let store = Store::new();
    for (name, code) in [("etcd/etcd_000.log", 1), ("etcd/etcd_002.log", 0), ("own/killed-recorder.jsonl", 0)]
    {
        let mut last = golden(name);
        for format in ["finished", "edn", "json", "jsonl"] {
            let next = store.path().join(format).display().to_string();
            let convert = ["convert", "--to", format, "--failed-cas", "observe", &last, &next];
            Ended::of(tribunal(convert).output().unwrap()).expect(0);
            last = next;
        }
        check("cas-register", &[&last]).expect(code);
        assert!(Path::new(&last).is_file());
    }
}

#[test]
fn convert_reads_and_writes_streams() {
    let history = b"0\t:invoke\t:read\tnil\n0\t:ok\t:read\t4\n";
    let ended = piped(&["convert", "--to", "finished", "-", "-"], history).expect(0);
    assert_eq!(ended.stdout, "{\"client\":0,\"f\":\"read\",\"out\":4,\"call\":0,\"ret\":1}\n");
    let ended = piped(&["convert", "-", "-"], history).expect(64);
    assert!(ended.stderr.contains("add --to"), "{}", ended.stderr);
}
