//! Histories in many formats: each is read and checked, or refused with a message that says what to do.
//!
//! The files are in `tests/foreign/`, one per row.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::program::{Ended, Store, tribunal};

/// The arguments after `tribunal check --model`, the exit code, and the expected output.
type Row = (&'static str, i32, &'static str);

const READ: [Row; 49] = [
    ("register client-array.json", 0, "linearizable"),
    ("register thread-seconds.jsonl", 0, "times with a fraction are taken for seconds"),
    ("register dates.jsonl", 1, "lines 3–4"),
    ("cas-register input-output.jsonl", 1, "cas nil→1 ≠"),
    ("register capitals.jsonl", 0, "linearizable"),
    ("register named-clients.json", 1, "returned 9, which nobody ever wrote"),
    ("register vector-per-line.edn", 0, "linearizable"),
    ("register vector-of-vectors.edn", 1, "lines 3–4"),
    ("register arrays.json", 0, "linearizable"),
    ("register prefix.log", 1, "lines 4–5"),
    ("register compose.log", 0, "linearizable"),
    ("register store", 0, "results.edn agrees: it says :valid? true (its check of linearizability)"),
    (
        "register store-differs",
        1,
        "results.edn differs: it says :valid? true (all checkers of the test together)",
    ),
    ("register store-txt", 0, "read store-txt/history.txt"),
    ("register store-keyed", 0, "2 ops · 2 keys"),
    ("register store-of-keys", 1, "read the histories of 2 keys in store-of-keys/independent"),
    ("cas-register --independent cas-triple.edn", 0, "2 ops"),
    ("cas-register cas-triple.edn", 0, "every value is a [key value] pair: taken apart"),
    ("cas-register cas-nested.edn", 1, "every value is a [key value] pair: taken apart"),
    ("register writes-of-pairs.edn", 0, "`--independent` takes it apart"),
    ("kv porcupine.jsonl", 0, "2 ops"),
    ("kv porcupine-array.json", 1, "line 15"),
    ("kv --map get=0,put=1 porcupine-numbers.jsonl", 0, "3 ops"),
    ("register --merge client-a.jsonl client-b.jsonl", 1, "line 2 of client-b.jsonl"),
    ("queue header.jsonl", 0, "line 1 is no event and was passed over"),
    ("register phases.jsonl", 0, "line 1 is no event and was passed over"),
    ("register comments.jsonl", 0, "linearizable"),
    ("register header.txt", 0, "line 1 is no event and was passed over"),
    ("register nemesis.txt", 1, "lines 5–6"),
    ("register nemesis.edn", 1, "lines 5–6"),
    (
        "register --map process=who,type=phase,f=cmd,value=payload,time=when,invoke=begin,ok=done,write=SET,read=GET \
      own-names.jsonl",
        0,
        "2 ops",
    ),
    ("register --map value=payload own-value.jsonl", 0, "2 ops"),
    ("register --map invoke=begin --map ok=end begin-end.jsonl", 0, "2 ops"),
    ("register --map write=assign own-operation.jsonl", 0, "2 ops"),
    ("register milliseconds.jsonl", 0, "2 ops"),
    ("register --time-unit s fractions.jsonl", 0, "2 ops"),
    ("register --map ignore=outt misspelt.jsonl", 0, "1 op"),
    ("register --map return=finished no-return.jsonl", 0, "1 op"),
    (
        "counter --initial 0 --map write=nothing misfit.edn",
        64,
        "misfit.edn:5:1: `write 3` does not fit the model counter",
    ),
    ("register all-unknown.edn", 2, "unknown"),
    ("register value-at-ok.edn", 0, "2 ops"),
    ("register records.edn", 0, "1 op"),
    ("register --from json arrays.json", 0, "2 ops"),
    ("register store/history.edn store-differs/history.edn", 1, "2 histories: 1 linearizable, 1 not"),
    ("register --time-unit us dates.jsonl", 1, "lines 3–4"),
    ("register wrapped.json", 1, "lines 5–6"),
    ("register wrapped-operations.json", 0, "2 ops"),
    ("kv gets-by-key.edn", 1, "the value of each `get` is taken for its key"),
    ("kv gets-with-values.edn", 0, "what a `get` was invoked with is left out"),
];

const REFUSED: [Row; 27] = [
    (
        "register no-events.log",
        64,
        "no-events.log:1:1: expected a log with events, such as `INFO jepsen.util",
    ),
    (
        "register not-a-store",
        64,
        "expected a run directory (run.json) or a Jepsen store directory (history.edn)",
    ),
    (
        "kv porcupine-numbers.jsonl",
        64,
        ":1:1: expected the name of an operation (`--map read=1` says what `1` is)",
    ),
    ("register client-a.jsonl", 64, "client-a.jsonl:1:1: expected a client, found none"),
    ("register own-names.jsonl", 64, "the fields `who`, `phase`, `cmd`, `payload`, `when`"),
    (
        "register own-value.jsonl",
        64,
        "expected a value for `write`, found none, but `payload` (`--map value=NAME`",
    ),
    ("register begin-end.jsonl", 64, ":1:1: expected a :type of :invoke, :ok, :fail or :info, found `begin`"),
    (
        "register own-operation.jsonl",
        64,
        "own-operation.jsonl:1:1: `assign 7` does not fit the model register",
    ),
    (
        "register fractions.jsonl",
        64,
        ":2:1: expected a whole number of nanoseconds, as before (`--time-unit`",
    ),
    ("register misspelt.jsonl", 64, "`--map ignore=NAME` leaves one out), found the field `outt`"),
    (
        "register no-return.jsonl",
        64,
        "expected a ret (null where the outcome is unknown), found none, but `finished`",
    ),
    ("register misfit.edn", 64, "misfit.edn:1:1: `add 1` does not fit the model register"),
    ("register two-keys.edn", 64, "two-keys.edn:1:27: expected the key of its invocation, x"),
    (
        "register twice.jsonl",
        64,
        "twice.jsonl:2:1: expected an event that can follow those before it, found that process 0",
    ),
    ("register torn.json", 64, "found the end of the input"),
    ("register results.edn", 64, "its history is in history.edn, beside it"),
    ("register results.json", 64, "the results of a Jepsen test"),
    ("register test.edn", 64, "found a Jepsen test map"),
    ("register faults.jsonl", 64, "`tribunal check` takes the directory that it is in"),
    ("register run.json", 64, "found a file about a run"),
    ("register table.csv", 64, "a table of comma-separated values: write each row as a JSON object"),
    ("register page.html", 64, "found HTML or XML"),
    ("register prose.txt", 64, "found `what is this`"),
    (
        "register --map colour=red arrays.json",
        64,
        "--map colour=red: expected a field (process, type, f, key,",
    ),
    ("register --time-unit hours arrays.json", 64, "expected one of ns, us, ms, s"),
    (
        "register --merge vector-per-line.edn arrays.json",
        64,
        "vector-per-line.edn: expected times on every event",
    ),
    ("register --independent porcupine.jsonl", 64, "has a field for the key"),
];

/// Words from JSON libraries and from Rust that must not appear in messages.
const FOREIGN_WORDS: [&str; 8] =
    ["untagged", "variant", "missing field", "invalid type", "EOF", "u64", "trailing characters", "panicked"];

fn files() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign")
}

fn check(args: &str) -> Ended {
    let mut command = tribunal(["check", "--model"]);
    Ended::of(command.args(args.split_whitespace()).current_dir(files()).output().unwrap())
}

#[test]
fn foreign_files_are_read_or_refused_with_a_clear_message() {
    let mut wrong = Vec::new();
    for (args, code, said) in READ.iter().chain(&REFUSED) {
        let ended = check(args);
        let all = format!("{}{}", ended.stdout, ended.stderr);
        let has_foreign_words = FOREIGN_WORDS.iter().any(|word| all.contains(word));
        if ended.code != Some(*code) || !all.contains(said) || has_foreign_words {
            wrong.push(format!("{args}: expected {code} and `{said}`, but {:?}:\n{all}", ended.code));
        }
    }
    assert!(wrong.is_empty(), "{} rows are wrong\n{}", wrong.len(), wrong.join("\n"));
}

/// Runs the check with this standard input.
fn piped(input: &[u8]) -> Ended {
    let mut child = tribunal(["check", "--model", "register", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().expect("it is piped").write_all(input); // a refused input is not read
    Ended::of(child.wait_with_output().unwrap())
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(text).unwrap();
    packer.finish().unwrap()
}

#[test]
fn packed_histories_and_other_encodings() {
    let text = std::fs::read(files().join("store/history.edn")).unwrap();
    let whole = packed(&text);
    piped(&whole).expect(0);
    piped(&[&b"\xef\xbb\xbf"[..], &text].concat()).expect(0);
    piped(&[&b"\xef\xbb\xbf"[..], &std::fs::read(files().join("milliseconds.jsonl")).unwrap()].concat())
        .expect(0);
    for (input, said) in [
        (&whole[..whole.len() - 12], "gzip that is damaged or breaks off"),
        (b"\xff\xfe0\0", "found UTF-16: save it as UTF-8"),
        (b"PK\x03\x04abc", "found a zip archive: unpack it first"),
        (b"JEPSEN\0\0\0\x01", "its history is in history.edn, beside it"),
        (&[0; 100], "found binary data"),
    ] {
        let ended = piped(input).expect(64);
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
}

#[test]
fn endless_input_is_not_waited_for() {
    let store = Store::new();
    let pipe = store.path().join("pipe");
    nix_mkfifo(&pipe);
    let start = Instant::now();
    for (path, said) in [(&*pipe, "a named pipe"), (Path::new("/dev/zero"), "a device")] {
        let ended = check(&format!("register {}", path.display())).expect(64);
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
    let zeros = tribunal(["check", "--model", "register", "-"])
        .stdin(std::fs::File::open("/dev/zero").unwrap())
        .output()
        .unwrap();
    assert!(Ended::of(zeros).expect(64).stderr.contains("found binary data"));
    // Expands to hundreds of times its size: a line that does not end. (The total expanded size is limited,
    // too.)
    let bomb =
        [packed(b"{\"client\":0,\"f\":\"read\",\"call\":1,\"ret\":2}\n"), packed(&vec![b' '; 80 << 20])]
            .concat();
    let ended = piped(&bomb).expect(64);
    assert!(
        ended.stderr.contains("2:1: expected a line of at most 64 MiB, found a longer one"),
        "{}",
        ended.stderr
    );
    assert!(start.elapsed() < Duration::from_secs(120));
}

fn nix_mkfifo(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

#[test]
fn nemesis_events_are_in_the_report_and_in_converted_histories() {
    let store = Store::new();
    let report = store.path().join("report");
    let ended = check(&format!("register --report {} nemesis.edn", report.display())).expect(1);
    assert!(!ended.stderr.contains("no report"), "{}", ended.stderr);
    let read = |name: &str| std::fs::read_to_string(report.join(name)).unwrap();
    let faults = read("faults.jsonl");
    assert_eq!(faults.lines().count(), 2, "{faults}");
    assert!(faults.contains("\"label\":\"start-partition majority\""), "{faults}");
    for name in ["report.txt", "report.html"] {
        assert!(read(name).contains("start-partition majority"), "{name}");
    }
    // It is checked again from its files.
    Ended::of(tribunal(["check"]).arg(&report).output().unwrap()).expect(1);
    for (to, expected) in
        [("edn", ":f :start-partition"), ("json", "\"start-partition\""), ("txt", ":nemesis\t:info\t:stop")]
    {
        let convert =
            tribunal(["convert", "--to", to, "nemesis.edn", "-"]).current_dir(files()).output().unwrap();
        let written = Ended::of(convert).expect(0).stdout;
        assert!(written.contains(expected), "{written}");
        assert_eq!(written.lines().count(), 8);
    }
    let convert =
        tribunal(["convert", "--to", "jsonl", "nemesis.edn", "-"]).current_dir(files()).output().unwrap();
    let ended = Ended::of(convert).expect(0);
    assert!(ended.stderr.contains("4 events of the nemesis left out"), "{}", ended.stderr);
    assert!(ended.stdout.lines().enumerate().all(|(i, line)| line.starts_with(&format!("{{\"i\":{i},"))));
}
