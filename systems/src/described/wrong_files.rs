//! Wrong descriptions and their errors: each is a good one with one change. The errors are kept in
//! wrong_files.txt; `UPDATE_SNAPSHOTS=1` renews it.

use std::path::Path;

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
];

#[test]
fn every_wrong_file_has_an_error_with_its_line() {
    let parse = |text: &str| Described::parse(text, Path::new("kv.toml")).map(drop);
    assert_eq!(parse(GOOD), Ok(()));
    assert!(CHANGES.len() >= 40);
    let mut said = String::new();
    for (from, to) in CHANGES {
        let changed = GOOD.replacen(from, to, 1);
        assert_ne!(changed, GOOD, "{from}");
        let why = parse(&changed).expect_err(to);
        let to = if to.is_empty() { "(nothing)" } else { to };
        said += &format!("{}\n    instead of {}\n  {why}\n", one_line(to), one_line(from));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/described/wrong_files.txt");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(path, &said).unwrap();
    }
    assert_eq!(said, std::fs::read_to_string(path).unwrap_or_default());
}

fn one_line(text: &str) -> String {
    text.trim().replace('\n', " ⏎ ")
}
