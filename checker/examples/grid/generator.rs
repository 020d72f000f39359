//! Generates histories of clients that share an object. The concurrency is random; the responses are those of
//! a simulated object. A wrong history has one stale response, from an earlier state.
//!
//! The generator is independent of the checker: values repeat as they would in practice, and a stale response
//! may be undetectable.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::fmt::Write as _;

use tribunal_checker::generate::SplitMix64;

/// Description of a history.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) object: &'static str,
    pub(crate) ops: usize,
    pub(crate) clients: usize,
    pub(crate) unknown: usize,
    /// Position of a stale response, as a fraction of the history.
    pub(crate) wrong: Option<f64>,
    pub(crate) seed: u64,
}

/// The objects: a name, the model of this checker, the model of Porcupine.
pub(crate) const OBJECTS: [(&str, &str, &str); 20] = [
    ("register", "cas-register", "cas-register"),
    ("register-unique", "cas-register", "cas-register"),
    ("kv", "kv", "kv"),
    ("kv-letters", "kv", "kv"),
    ("kv-all", "kv", "kv"),
    ("counter", "counter", "counter"),
    ("counter-told", "counter", "counter"),
    ("queue", "queue", "queue"),
    ("queue-few", "queue", "queue"),
    ("stack", "stack", "stack"),
    ("unordered-queue", "unordered-queue", "unordered-queue"),
    ("set", "set", "set-elements"),
    ("growing-set", "set", "set"),
    ("log", "log", "log"),
    ("mutex", "mutex", "mutex"),
    ("fencing-lock", "fencing-lock", "fencing-lock"),
    ("semaphore", "semaphore", "semaphore"),
    ("ids", "ids", "ids"),
    ("ordered-ids", "ordered-ids", "ordered-ids"),
    ("multi-register", "multi-register", "multi-register"),
];

/// A request: function, key, input; values as JSON.
type Request = (&'static str, String, String);

/// The state of an object: a string for each key or element, a list for ordered objects, or a number.
#[derive(Clone, Default)]
struct Object {
    values: BTreeMap<String, String>,
    list: VecDeque<String>,
    number: i64,
}

const NULL: &str = "null";

impl Object {
    /// The response to a request that then has no effect. Only objects that remain small are copied.
    fn respond(&mut self, object: &str, client: usize, request: &Request) -> String {
        let (f, _, input) = request;
        match *f {
            "read" | "get" | "contains" => self.apply(object, client, request),
            "append" if object == "log" => self.list.len().to_string(),
            "add" if object == "growing-set" => (!self.values.contains_key(input)).to_string(),
            _ => self.clone().apply(object, client, request),
        }
    }

    /// Applies a request, and returns the response.
    fn apply(&mut self, object: &str, client: usize, (f, key, input): &Request) -> String {
        let told = object == "counter-told";
        match *f {
            "read" if object.starts_with("counter") => self.number.to_string(),
            "read" if object == "log" => {
                format!("[{}]", self.list.iter().cloned().collect::<Vec<_>>().join(","))
            }
            "read" if object == "growing-set" => {
                format!("[{}]", self.values.keys().cloned().collect::<Vec<_>>().join(","))
            }
            "read" | "get" => self.values.get(key).cloned().unwrap_or(NULL.into()),
            "write" | "put" => {
                self.values.insert(key.clone(), input.clone());
                NULL.into()
            }
            "cas" => {
                let (from, to) = input[1..input.len() - 1].split_once(',').expect("a pair");
                let holds = self.values.get(key).map_or(NULL, |value| value) == from;
                if holds {
                    self.values.insert(key.clone(), to.to_owned());
                }
                holds.to_string()
            }
            "append" if object == "log" => {
                self.list.push_back(input.clone());
                (self.list.len() - 1).to_string()
            }
            "append" => {
                let text = self.values.entry(key.clone()).or_insert("\"\"".into());
                *text = format!("{}{}", &text[..text.len() - 1], &input[1..]);
                NULL.into()
            }
            "add" if object.starts_with("counter") => {
                self.number += input.parse::<i64>().expect("a number");
                if told { self.number.to_string() } else { NULL.into() }
            }
            "add" => (self.values.insert(input.clone(), NULL.into()).is_none()).to_string(),
            "delete" if object == "kv-all" => self.values.remove(key).is_some().to_string(),
            "delete" => self.values.remove(input).is_some().to_string(),
            "contains" => self.values.contains_key(input).to_string(),
            "enqueue" | "push" => {
                self.list.push_back(input.clone());
                NULL.into()
            }
            "dequeue" if object == "unordered-queue" => {
                let any = self.list.len() / 2;
                self.list.swap_remove_back(any).unwrap_or(NULL.into())
            }
            "dequeue" => self.list.pop_front().unwrap_or(NULL.into()),
            "pop" => self.list.pop_back().unwrap_or(NULL.into()),
            "generate" => {
                self.number += 1;
                self.number.to_string()
            }
            "acquire" | "release" => {
                let given = self.permit(object, client, *f == "acquire");
                self.number += i64::from(given);
                let token = given && *f == "acquire" && object == "fencing-lock";
                if token { self.number.to_string() } else { given.to_string() }
            }
            _ => self.transact(input),
        }
    }

    /// A lock is a list of at most one holder, a semaphore a list of at most two.
    fn permit(&mut self, object: &str, client: usize, acquires: bool) -> bool {
        let room = if object == "semaphore" { 2 } else { 1 };
        let me = client.to_string();
        match (acquires, self.list.iter().position(|holder| *holder == me)) {
            (true, _) if self.list.len() < room => {
                self.list.push_back(me);
                true
            }
            (false, Some(at)) => self.list.remove(at).is_some(),
            _ => false,
        }
    }

    fn transact(&mut self, input: &str) -> String {
        let mut output = String::new();
        for access in input[2..input.len() - 2].split("],[") {
            let mut fields = access.split(',');
            let (f, name, value) = (fields.next().unwrap(), fields.next().unwrap(), fields.next().unwrap());
            if f == "\"w\"" {
                self.values.insert(name.to_owned(), value.to_owned());
            }
            let now = self.values.get(name).map_or(NULL, |value| value);
            let _ = write!(output, ",[{f},{name},{now}]");
        }
        format!("[{}]", &output[1..])
    }
}

/// Draws the next request of a client.
fn draw_request(
    plan: &Plan,
    rng: &mut SplitMix64,
    client: usize,
    at: usize,
    holds: bool,
    last: &str,
) -> Request {
    let object = plan.object;
    let text = |n: u64| n.to_string();
    // The whole object is read only about twenty times, because it grows.
    let whole = (plan.ops as u64 / 20).max(20);
    let (f, key, input) = match object {
        "register" => match rng.below(3) {
            0 => ("read", String::new(), NULL.into()),
            1 => ("write", String::new(), text(rng.below(10))),
            _ => ("cas", String::new(), format!("[{},{}]", rng.below(10), rng.below(10))),
        },
        "register-unique" => match rng.below(3) {
            0 => ("read", String::new(), NULL.into()),
            1 => ("write", String::new(), text(at as u64)),
            _ => ("cas", String::new(), format!("[{last},{at}]")),
        },
        "kv" | "kv-letters" => {
            let key = text(rng.below(10));
            let letter = ["a", "b", "c"][rng.below(3) as usize];
            let fragment =
                if object == "kv" { format!("\"x {client} {at} y\"") } else { format!("\"{letter}\"") };
            match rng.below(10) {
                0 => ("put", key, fragment),
                1..5 => ("append", key, fragment),
                _ => ("get", key, NULL.into()),
            }
        }
        "kv-all" => {
            let (key, fragment) = (text(rng.below(4)), format!("\"x {client} {at} y\""));
            match rng.below(10) {
                0 => ("put", key, fragment),
                1 => ("delete", key, NULL.into()),
                2 => ("cas", key, format!("[{last},{fragment}]")),
                3..6 => ("append", key, fragment),
                _ => ("get", key, NULL.into()),
            }
        }
        "counter" | "counter-told" => match rng.below(2) {
            0 => ("read", String::new(), NULL.into()),
            _ => ("add", String::new(), text(1 + rng.below(3))),
        },
        "queue" | "queue-few" | "unordered-queue" => match rng.below(2) {
            0 => {
                ("enqueue", String::new(), text(if object == "queue-few" { rng.below(3) } else { at as u64 }))
            }
            _ => ("dequeue", String::new(), NULL.into()),
        },
        "stack" => match rng.below(2) {
            0 => ("push", String::new(), text(at as u64)),
            _ => ("pop", String::new(), NULL.into()),
        },
        "set" => (["add", "delete", "contains"][rng.below(3) as usize], String::new(), text(rng.below(20))),
        "growing-set" if rng.below(whole) == 0 => ("read", String::new(), NULL.into()),
        "growing-set" => match rng.below(2) {
            0 => ("contains", String::new(), text(rng.below(plan.ops as u64))),
            _ => ("add", String::new(), text(at as u64)),
        },
        "ids" | "ordered-ids" => ("generate", String::new(), NULL.into()),
        "log" => match rng.below(whole) {
            0 => ("read", String::new(), NULL.into()),
            _ => ("append", String::new(), text(at as u64)),
        },
        "mutex" | "fencing-lock" | "semaphore" => {
            (if holds { "release" } else { "acquire" }, String::new(), NULL.into())
        }
        _ => {
            let access = |rng: &mut SplitMix64| match rng.below(2) {
                0 => format!("[\"r\",{},null]", rng.below(20)),
                _ => format!("[\"w\",{},{at}]", rng.below(20)),
            };
            let (one, other) = (access(rng), access(rng));
            let both = one.split(',').nth(1) != other.split(',').nth(1) && rng.below(3) == 0;
            ("txn", String::new(), if both { format!("[{one},{other}]") } else { format!("[{one}]") })
        }
    };
    (f, key, input)
}

/// What happens to an operation, in the order for equal times.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Call,
    Effect,
    Return,
}

/// An operation that is being recorded.
struct Line {
    client: usize,
    request: Request,
    answer: Option<String>,
    call: u64,
    ret: u64,
    unknown: bool,
}

/// The history, one finished operation per line.
pub(crate) fn history(plan: &Plan) -> String {
    let mut rng = SplitMix64::new(plan.seed);
    let mut queue = BinaryHeap::new();
    let mut object = Object::default();
    let mut earlier: Option<Object> = None;
    let mut lines: Vec<Line> = Vec::new();
    // For each client: its name, its operation, the last value it saw, whether it holds a permit.
    let mut clients: Vec<(usize, usize, String, bool)> =
        (0..plan.clients).map(|client| (client, 0, NULL.to_owned(), false)).collect();
    let (mut names, mut unknown_left, mut wrong) = (plan.clients, plan.unknown, plan.wrong);
    for client in 0..plan.clients {
        queue.push(Reverse((rng.below(1000), Moment::Call, client)));
    }
    while let Some(Reverse((now, moment, client))) = queue.pop() {
        let (name, at, last, holds) = &mut clients[client];
        match moment {
            Moment::Call if lines.len() == plan.ops => {}
            Moment::Call => {
                *at = lines.len();
                let request = draw_request(plan, &mut rng, *name, *at, *holds, last);
                let unknown = rng.below((plan.ops - *at) as u64) < unknown_left as u64;
                unknown_left -= usize::from(unknown);
                // A client with an unknown outcome must not hold a permit for ever.
                let happens =
                    !unknown || request.0 == "release" || request.0 != "acquire" && rng.below(2) == 0;
                let (effect, ret) = (now + 1 + rng.below(1000), now + 1001 + rng.below(1000));
                if happens {
                    queue.push(Reverse((effect, Moment::Effect, client)));
                }
                queue.push(Reverse((ret, Moment::Return, client)));
                lines.push(Line { client: *name, request, answer: None, call: now, ret, unknown });
                let start = |fraction: f64| (fraction * plan.ops as f64) as usize;
                if earlier.is_none() && wrong.is_some_and(|f| lines.len() + 4 * plan.clients > start(f)) {
                    earlier = Some(object.clone());
                }
            }
            Moment::Effect => {
                let line = &mut lines[*at];
                let mut answer = object.apply(plan.object, line.client, &line.request);
                let late = wrong.is_some_and(|f| *at as f64 >= f * plan.ops as f64) && !line.unknown;
                if late && let Some(earlier) = &mut earlier {
                    let stale = earlier.respond(plan.object, line.client, &line.request);
                    if stale != answer {
                        (answer, wrong) = (stale, None);
                    }
                }
                line.answer = Some(answer);
            }
            Moment::Return => {
                let line = &lines[*at];
                let answer = line.answer.as_deref().unwrap_or(NULL);
                match line.request.0 {
                    "read" | "get" if !answer.starts_with('[') => last.replace_range(.., answer),
                    "write" | "put" => last.replace_range(.., &line.request.2),
                    "acquire" => *holds = !line.unknown && answer != "false" && answer != NULL,
                    "release" => *holds = false,
                    _ => {}
                }
                if line.unknown {
                    (*name, *holds) = (names, false);
                    names += 1;
                }
                queue.push(Reverse((now + 1 + rng.below(100), Moment::Call, client)));
            }
        }
    }
    let mut text = String::new();
    for Line { client, request: (f, key, input), answer, call, ret, unknown } in &lines {
        let answer = answer.as_deref().filter(|_| !unknown).unwrap_or(NULL);
        let ret = if *unknown { NULL.to_owned() } else { ret.to_string() };
        let _ = writeln!(
            text,
            r#"{{"client":{client},"f":"{f}","key":"{key}","in":{input},"out":{answer},"call":{call},"ret":{ret}}}"#
        );
    }
    text
}
