//! `tribunal init`: writes a commented description of a system, to be completed by hand.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use tribunal::user_file;

use crate::exit;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The file to write; it must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// How clients speak to nodes
    #[arg(long, value_enum, default_value = "http")]
    wire: Wire,

    /// The command that starts a node, with placeholders such as {id}, {host}, {port.main}, {peers} and {data}
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Wire {
    /// An HTTP request for each operation
    Http,
    /// A line of text over TCP for each operation
    Lines,
    /// The Redis protocol
    Resp,
    /// The PostgreSQL protocol
    #[cfg(feature = "postgres")]
    Postgres,
    /// A client program of yours, in any language
    Exec,
}

/// Writes the file.
pub(crate) fn run(args: &Args) -> ExitCode {
    match write(args) {
        Ok(()) => {
            let file = args.file.display();
            exit::print_text(&format!(
                "{file} is written. Complete it, then:\n  tribunal doctor {file}\n  tribunal lint-client {file}\n  \
                 tribunal run {WORKLOAD} --system {file}\n"
            ));
            ExitCode::SUCCESS
        }
        Err(error) => exit::usage(error),
    }
}

fn write(args: &Args) -> Result<()> {
    let file = args.file.display();
    ensure!(!args.file.exists(), "{file}: the file exists already");
    user_file::write(&args.file, &text(&args.command, args.wire))
        .with_context(|| format!("cannot write {file}"))
}

/// The description.
fn text(command: &[String], wire: Wire) -> String {
    // A string of JSON is one of TOML, too.
    let words: Vec<String> =
        command.iter().map(|word| serde_json::Value::from(word.as_str()).to_string()).collect();
    let client = match wire {
        Wire::Http => HTTP,
        Wire::Lines => LINES,
        Wire::Resp => RESP,
        #[cfg(feature = "postgres")]
        Wire::Postgres => POSTGRES,
        Wire::Exec => EXEC,
    };
    let node = NODE.replace("COMMAND", &words.join(", ")).replace("PORTS", &ports(command));
    format!("{node}\n{}", client.replace("RULES", RULES).replace("SERVED", SERVED))
}

/// Who serves clients.
const SERVED: &str = "\
# If only the leader serves clients, and the others refuse them with an answer that is a `fail` below:
# served-by = \"leader\"";

/// The workload that needs no more than the operations of the files.
const WORKLOAD: &str = "rw-register";

/// Names of ports that most likely serve clients.
const FOR_CLIENTS: [&str; 7] = ["client", "clients", "api", "http", "rpc", "sql", "redis"];

/// The ports that the command names, as they stand in a list: in order, but those for clients last.
fn ports(command: &[String]) -> String {
    let text = command.join(" ");
    let after = ["{port.", "{address."].into_iter().flat_map(|mark| text.match_indices(mark));
    let mut named: Vec<(usize, &str)> =
        after.filter_map(|(at, mark)| Some((at, text[at + mark.len()..].split_once('}')?.0))).collect();
    named.sort_unstable_by_key(|(at, name)| (FOR_CLIENTS.contains(name), *at));
    let mut ports: Vec<String> = Vec::new();
    for (_, name) in named {
        let quoted = serde_json::Value::from(name).to_string();
        if !ports.contains(&quoted) {
            ports.push(quoted);
        }
    }
    if ports.is_empty() { r#""main""#.to_owned() } else { ports.join(", ") }
}

const NODE: &str = r#"# A system under test: docs/own-system.md explains every key.
about = "what it is, in a line"

[node]
# The program and its arguments, without a shell. Placeholders: {id} {index} {nodes} {data} {host} {port.NAME}
# {address.NAME} {peers} {members}.
command = [COMMAND]
# The ports of a node. Peers connect to the first; clients to the last.
ports = [PORTS]
# One node in {peers} and {members}, and the separator between two.
peer = "{id}={address}"
separator = ","
# A node is ready when its client port accepts a connection; or say how to find out:
# ready = { http = "/health" }
# ready = { log = "^listening" }
# ready = { command = ["./probe", "{address.main}"], matches = "ok" }
# Faults that aim at the leader have to know it:
# leader = { http = "/status", pointer = "/role", equals = "leader", term = "/term" }
# leader = { log = "became leader in term ([0-9]+)", lost = "became follower" }
# If all nodes must know a node by the same address: links = "attributed"
"#;

/// The comment before the operations.
const RULES: &str = "\
# What is sent, and what the answers mean. Whatever no rule matches is unknown. Use `fail` only for answers that
# mean: it did not happen, and never will. Other objects than registers have other tables and other workloads:
# [counter.add], [set.add], [list.append], [queue.enqueue], [lock.acquire], [ids.generate].
";

const HTTP: &str = r#"[client]
wire = "http"
SERVED

RULES[register.read]
request = "GET /kv/{key}"
ok = { status = 200, pointer = "/value" }
nil = { status = 404 }

[register.write]
request = "PUT /kv/{key}"
body = '{{"value": {value}}}'
ok = { status = 200 }

# [register.cas]
# request = "POST /kv/{key}/cas"
# body = '{{"from": {from}, "to": {to}}}'
# ok = { status = 200 }
# refused = { status = 409 }
"#;

const LINES: &str = r#"[client]
wire = "lines"
SERVED

RULES[register.read]
request = "GET {key}"
ok = { matches = "^VALUE (.*)$", text = true }
nil = { matches = "^NONE$" }

[register.write]
request = "SET {key} {value}"
ok = { matches = "^OK$" }
"#;

const RESP: &str = r#"[client]
wire = "resp"
SERVED

RULES[register.read]
request = "GET {key}"
ok = { kind = "text", text = true }
nil = { kind = "nil" }

[register.write]
request = "SET {key} {value}"
ok = { matches = "^OK$" }
"#;

#[cfg(feature = "postgres")]
const POSTGRES: &str = r#"[client]
wire = "postgres"
SERVED
connect = "user=postgres dbname=postgres"

RULES[register.read]
request = "SELECT v FROM kv WHERE k = {key}"
ok = { rows = 1, column = "v" }
nil = { rows = 0 }

[register.write]
request = "INSERT INTO kv VALUES ({key}, {value}) ON CONFLICT (k) DO UPDATE SET v = excluded.v"
ok = { rows = 1 }
"#;

const EXEC: &str = r#"[client]
wire = "exec"
SERVED
# The program that acts for one client: it reads requests and writes answers, a line of JSON each. There are
# examples in Python, Go, JavaScript and Java in examples/own-system.
command = ["./client", "{address}", "{timeout-ms}"]
operations = ["register.read", "register.write"]
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_description() {
        let command =
            ["sh", "-c", r#"echo "$0" 'it' # \ "#, "{id}", "{port.main}", "{peers}"].map(String::from);
        assert_eq!(ports(&command), r#""main""#);
        assert_eq!(ports(&["{port.b}:{address.a}".into(), "{port.b}".into(), "{id}".into()]), r#""b", "a""#);
        assert_eq!(ports(&["{port.client}".into(), "{port.x}".into()]), r#""x", "client""#);
        for wire in Wire::value_variants() {
            // The client program is yet to be written.
            let text = text(&command, *wire).replace("./client", "sh");
            let parsed = tribunal_systems::Described::parse(&text, std::path::Path::new("a.toml"));
            let workload = tribunal_workloads::find(WORKLOAD).unwrap();
            let runs = parsed.map(|all| all[0].answers(workload));
            assert_eq!(runs, Ok(true), "{text}");
        }
    }
}
