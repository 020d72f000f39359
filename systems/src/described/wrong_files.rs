//! Wrong descriptions and their errors: each is a good one with one change. The errors are kept in
//! wrong_files.txt; `UPDATE_SNAPSHOTS=1` renews it.

use std::path::Path;

use tribunal_records::places::at_line;

use super::Described;

const GOOD: &str = r#"about = "a key-value store"

[node]
command = ["sh", "{id}", "{port.peer}", "{peers}"]
ports = ["peer", "api"]
env = { ME = "{index} of {nodes}" }
ready = { http = "/health", status = 200 }
leader = { http = "/health", pointer = "/role", equals = "leader" }

[client]
wire = "http"
port = "api"

[register.read]
request = "GET /{key}"
ok = { status = 200, pointer = "/value" }
nil = { status = 404 }

[register.write]
request = "PUT /{key}"
body = "{value}"
ok = { status = 200 }
"#;

/// What is replaced, and with what.
const CHANGES: &[(&str, &str)] = &[
    ("[node]", "[nodes]"),
    ("command =", "comand ="),
    ("command = [\"sh\"", "command = [\"no-such-program\""),
    ("command = [\"sh\"", "command = [\"./no-such\""),
    ("command = [\"sh\", \"{id}\", \"{port.peer}\", \"{peers}\"]", "command = []"),
    ("command = [\"sh\", \"{id}\", \"{port.peer}\", \"{peers}\"]", "command = \"sh {id}\""),
    ("{id}", "{ip}"),
    ("{port.peer}", "{port.raft}"),
    ("{peers}", "{peers"),
    ("[\"peer\", \"api\"]", "[\"peer\", \"peer\"]"),
    ("[\"peer\", \"api\"]", "[]"),
    ("{nodes}", "{node}"),
    ("about", "abuot"),
    ("ready = { http", "ready = { htp"),
    ("ready = { http = \"/health\", status = 200 }", "ready = { status = 200 }"),
    ("ready = { http = \"/health\", status = 200 }", "ready = { http = \"/health\", tcp = \"api\" }"),
    ("ready = { http = \"/health\", status = 200 }", "ready = { tcp = \"web\" }"),
    ("ready = { http = \"/health\", status = 200 }", "ready = { log = \"(\" }"),
    ("ready = { http = \"/health\", status = 200 }", "ready = { log = \"up\", status = 200 }"),
    ("ready = { http = \"/health\", status = 200 }", "ready = { command = [\"no-such-probe\"] }"),
    ("status = 200 }\nleader", "status = \"200\" }\nleader"),
    ("leader = { http = \"/health\"", "leader = { http = \"health\""),
    ("pointer = \"/role\"", "pointer = \"role\""),
    ("pointer = \"/role\", ", ""),
    ("\n[client]", "stop-signal = \"SIGFOO\"\n\n[client]"),
    ("\n[client]", "user = \"no-such-user\"\n\n[client]"),
    ("\n[client]", "warm-up = \"2\"\n\n[client]"),
    ("\n[client]", "fatal = [\"[\"]\n\n[client]"),
    ("\n[client]", "links = \"adress-map\"\n\n[client]"),
    ("\n[client]", "set-up = [\"sh\", \"{all.raft}\"]\n\n[client]"),
    ("wire = \"http\"", ""),
    ("wire = \"http\"", "wire = \"smtp\""),
    ("port = \"api\"", "port = \"web\""),
    ("port = \"api\"", "command = [\"sh\"]"),
    ("port = \"api\"", "programs = \"one-for-all\""),
    ("wire = \"http\"", "wire = \"exec\""),
    ("wire = \"http\"", "wire = \"resp\""),
    ("[register.read]", "[register.raed]"),
    ("[register.read]", "[registers.read]"),
    ("[register.read]", "[register]"),
    ("GET /{key}", "GET{key}"),
    ("GET /{key}", "GET /{keys}"),
    ("ok = { status = 200, pointer", "ok = { stats = 200, pointer"),
    ("pointer = \"/value\"", "pointer = \"value\""),
    ("ok = { status = 200, pointer = \"/value\" }", "ok = { pointer = \"/value\" }"),
    ("ok = { status = 200, pointer = \"/value\" }", "ok = { status = 200, base64 = true }"),
    ("ok = { status = 200, pointer = \"/value\" }", "ok = { status = 200, matches = \"(\" }"),
    ("ok = { status = 200, pointer = \"/value\" }\nnil = { status = 404 }\n", ""),
    ("ok = { status = 200, pointer = \"/value\" }", "ok = \"200\""),
    ("nil = { status = 404 }", "nil = { status = 404"),
    ("nil = { status = 404 }", "nil = { status = 99 }"),
    ("nil = { status = 404 }", "nil = { status = 70000 }"),
    ("nil = { status = 404 }", "nil = { status = -1 }"),
    ("nil = { status = 404 }", "nil = { kind = \"nil\" }"),
    ("nil = { status = 404 }", "nil = { rows = 0 }"),
    ("nil = { status = 404 }", "nil = [{ status = 404 }, 404]"),
    ("about = \"a key-value store\"", "name = \"\""),
    ("about = \"a key-value store\"", "name = \"a\\nb\""),
    ("about = \"a key-value store\"", "about = \"1\"\nabout = \"2\""),
    ("about = \"a key-value store\"", "\u{0}"),
    ("command = [\"sh\"", "command = [\"\""),
    ("command = [\"sh\"", "command = [7"),
    ("command = [\"sh\"", "command = [\"sh\", \"a\\u0000b\""),
    ("[\"peer\", \"api\"]", "[\"peer\", \"\"]"),
    ("[\"peer\", \"api\"]", "[\"peer\", \"a}b\"]"),
    ("[\"peer\", \"api\"]", "[70000]"),
    ("ME = \"{index} of {nodes}\"", "\"A=B\" = \"x\""),
    ("ME = \"{index} of {nodes}\"", "ME = 7"),
    ("\n[client]", "directory = \"/no/such\"\n\n[client]"),
    ("\n[client]", "directory = \"\"\n\n[client]"),
    ("\n[client]", "files = { \"/etc/passwd\" = \"x\" }\n\n[client]"),
    ("\n[client]", "files = { \"{data}/../../x\" = \"x\" }\n\n[client]"),
    ("\n[client]", "files = { \"{data}\" = \"x\" }\n\n[client]"),
    ("\n[client]", "files = { \"node.conf\" = \"x\" }\n\n[client]"),
    ("\n[client]", "data = [\"[\"]\n\n[client]"),
    ("\n[client]", "warm-up = \"-1s\"\n\n[client]"),
    ("\n[client]", "warm-up = \"99999h\"\n\n[client]"),
    ("port = \"api\"", "headers = { \"a b\" = \"x\" }"),
    ("port = \"api\"", "headers = { a = \"x\\ny\" }"),
    ("port = \"api\"", "port = 80"),
    ("port = \"api\"", "connect = \"user=x\""),
    ("GET /{key}", "GET /a b"),
    ("GET /{key}", "GET /a\\nb"),
    ("GET /{key}", ""),
    (
        "ok = { status = 200, pointer = \"/value\" }",
        "ok = { status = 200, pointer = \"/value\", split = \"\" }",
    ),
    ("ok = { status = 200, pointer = \"/value\" }", "ok = { status = 200, column = \"v\" }"),
    ("ok = { status = 200, pointer = \"/value\" }", "ok = { status = 200 }"),
    ("ok = { status = 200, pointer = \"/value\" }", "ok = { status = 200, matches = \"^(.*)$\" }"),
    (
        "ok = { status = 200, pointer = \"/value\" }",
        "ok = [{ status = 200, pointer = \"/value\" }, { status = 204 }]",
    ),
    ("ok = { status = 200, pointer = \"/value\" }", ""),
];

/// The same for the wire of client programs.
const EXEC: &str = r#"[node]
command = ["sh"]

[client]
wire = "exec"
command = ["sh", "{timeout-ms}"]
programs = "one-for-all"
operations = ["register.read"]
"#;

const EXEC_CHANGES: &[(&str, &str)] = &[
    ("one-for-all", "one"),
    ("{timeout-ms}", "{address}"),
    ("{timeout-ms}", "{timeout}"),
    ("\"sh\", \"{timeout-ms}\"", ""),
    ("\"sh\", \"{timeout-ms}\"", "\"no-such-client\""),
    ("register.read", "register.raed"),
    ("register.read", "read"),
    ("\"register.read\"", ""),
    (
        "operations = [\"register.read\"]",
        "operations = [\"register.read\"]\n[register.read]\nrequest = \"GET\"",
    ),
];

/// The same for the wire of PostgreSQL.
#[cfg(feature = "postgres")]
const POSTGRES: &str = r#"[node]
command = ["sh"]

[client]
wire = "postgres"
connect = "user=tribunal dbname=postgres"

[register.read]
request = "SELECT v FROM kv WHERE k = {key}"
ok = { rows = 1, column = "v" }
nil = { rows = 0 }
fail = { state = "23" }
"#;

#[cfg(feature = "postgres")]
const POSTGRES_CHANGES: &[(&str, &str)] = &[
    ("connect = \"user=tribunal dbname=postgres\"", ""),
    ("user=tribunal", "usr=tribunal"),
    ("user=tribunal", "host=db.example user=tribunal"),
    ("user=tribunal ", ""),
    ("{key}", "'{key}'"),
    ("{key}", "{k}"),
    ("SELECT v FROM kv WHERE k = {key}", "BEGIN"),
    ("SELECT v FROM kv WHERE k = {key}", ""),
    ("state = \"23\"", "state = \"57P01\""),
    ("state = \"23\"", "state = \"4000 1\""),
    ("state = \"23\"", "status = 200"),
    ("column = \"v\"", "pointer = \"/v\""),
    (", column = \"v\"", ""),
    ("rows = 1, ", ""),
    ("rows = 1", "rows = -1"),
];

#[test]
fn every_wrong_file_has_an_error_with_its_line() {
    let file = Path::new("kv.toml");
    let parse = |text: &str| {
        let parsed = Described::parse(text, file).map(drop);
        parsed.map_err(|wrong| at_line(file, wrong.line, wrong.why))
    };
    let all = CHANGES.iter().map(|change| (GOOD, change));
    let all = all.chain(EXEC_CHANGES.iter().map(|change| (EXEC, change)));
    #[cfg(feature = "postgres")]
    let all = all.chain(POSTGRES_CHANGES.iter().map(|change| (POSTGRES, change)));
    let mut said = String::new();
    for (good, (from, to)) in all {
        assert_eq!(parse(good), Ok(()));
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{from}");
        let why = parse(&changed).expect_err(to);
        let to = if to.is_empty() { "(nothing)" } else { to };
        said += &format!("{}\n    instead of {}\n  {}\n", one_line(to), one_line(from), one_line(&why));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/described/wrong_files.txt");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(path, &said).unwrap();
    }
    assert_eq!(said, std::fs::read_to_string(path).unwrap_or_default());
}

fn one_line(text: &str) -> String {
    text.trim().replace('\n', " ⏎ ").replace('\0', "␀")
}
