//! The glossary: the terms of the reports, the flags and the documentation. docs/glossary.md is made from it.

/// Terms of one subject.
pub struct Subject {
    /// The heading.
    pub title: &'static str,
    /// The terms.
    pub terms: &'static [Term],
}

/// A term with its meaning.
pub struct Term {
    /// Its names, as they stand in a sentence.
    pub names: &'static [&'static str],
    /// What it means, as Markdown.
    pub meaning: &'static str,
    /// Whether the page explains it where it stands; an everyday word would be marked everywhere.
    pub is_marked: bool,
}

/// A term of art.
const fn term(names: &'static [&'static str], meaning: &'static str) -> Term {
    Term { names, meaning, is_marked: true }
}

/// A word that is used in its everyday meaning, too.
const fn word(names: &'static [&'static str], meaning: &'static str) -> Term {
    Term { names, meaning, is_marked: false }
}

/// Every term, by subject.
pub const GLOSSARY: &[Subject] = &[
    Subject {
        title: "Histories",
        terms: &[
            word(&["operation"], "one logical request of a client, such as `write 5`, with its result"),
            word(
                &["invoke", "ok", "fail"],
                "the operation started; it happened; it *certainly did not happen*",
            ),
            term(&["info"], "the outcome of the operation is unknown: it is indeterminate"),
            term(
                &["indeterminate"],
                "an operation without ok or fail: it may take effect at any later time, or never",
            ),
            term(
                &["process"],
                "one sequential client in the history. After an info, the client continues as a new process",
            ),
            word(&["client"], "a task that sends one operation at a time to one node"),
            term(&["history"], "the recorded sequence of invocations and completions"),
            word(&["key"], "one object: a register, a queue, a lock. Keys are checked independently"),
            term(&["workload"], "the operations that the clients send, and their order"),
            term(
                &["model"],
                "the sequential specification that a history is checked against, such as `cas-register`",
            ),
        ],
    },
    Subject {
        title: "Verdicts",
        terms: &[
            term(
                &["linearizable"],
                "the operations fit into one order that respects real time, and in which every response is correct",
            ),
            term(
                &["not linearizable"],
                "no order of the operations respects real time and explains every response",
            ),
            term(
                &["legal order"],
                "an order of operations that the model allows and that respects real time",
            ),
            term(&["sequentially consistent"], "weaker: the order only has to keep each process's own order"),
            term(
                &["convergent"],
                "after all faults, every node shows every acknowledged element and no other (`convergent-set`)",
            ),
            term(&["violation"], "no legal order exists, or the nodes did not converge"),
            term(&["unknown"], "no claim: a limit was reached, or the run did not test what was requested"),
            term(&["harness failure"], "Tribunal or the machine failed, not the system"),
            term(&["counterexample"], "a small part of the history that still proves the violation"),
            term(&["witness"], "the operation that cannot be linearized, marked ✗"),
            term(&["stale read"], "a read that misses an acknowledged write which a later read sees"),
            term(&["lost write"], "an acknowledged write that no later read sees"),
            term(&["linearization point"], "the instant at which an operation takes effect in a legal order"),
            term(
                &["configuration"],
                "a state of the search: the model's state, and which operations are already in the order",
            ),
            term(&["frontier"], "all configurations that explain the history so far"),
            term(&["certificate"], "a legal order of a key, stored so that `tribunal verify` can replay it"),
            term(
                &["live check"],
                "the check during the run. It stops the run at the first violation; the whole history is checked afterwards in any case",
            ),
        ],
    },
    Subject {
        title: "Clusters and faults",
        terms: &[
            word(&["system"], "the software under test"),
            word(&["node"], "one server process of it, `n1`, `n2`, ..."),
            word(&["link"], "a directed connection between two nodes, `n1>n2`"),
            term(
                &["leader", "term"],
                "the node that coordinates, and the number of its election (epoch, view, ballot)",
            ),
            term(&["nemesis"], "the part of Tribunal that injects faults"),
            word(&["fault", "kind"], "`kill` is a fault, `kill:leader` one of its kinds"),
            word(&["act"], "one step of a fault on one node or link: `kill n1`, `cut n1>n2 stall`"),
            word(&["undo", "heal"], "reversing an act; reversing everything"),
            term(
                &["grudge"],
                "a partition as a list of links that are cut: `n1>n2` means that n2 receives nothing from n1",
            ),
            word(
                &["stall", "reset"],
                "two ways to cut a link: data waits, or connections are closed with an error",
            ),
            term(&["schedule"], "a file that decides which faults happen, and when"),
            word(&["trigger"], "a fault of a schedule that waits for an event"),
            word(
                &["effect"],
                "the measured evidence that a fault did something, such as bytes that a cut link withheld",
            ),
            word(&["seed"], "the number from which the fault plan and the operations are drawn"),
            term(&["bridge"], "the only node that connects two halves of a cluster"),
            term(&["torn write"], "a write of which only a part reached the disk"),
            term(
                &["quorum"],
                "a set of nodes that shares a node with every other such set, usually a majority",
            ),
            term(&["lease"], "a right that ends at a time, such as to lead or to hold a lock"),
            term(
                &["fencing token"],
                "a number that grows with each holder of a lock, so that a late request of an earlier holder is refused",
            ),
            term(&["fsync"], "the system call after which written data survives a power failure"),
        ],
    },
    Subject {
        title: "Runs",
        terms: &[
            word(&["run"], "one execution of a trial, and its directory"),
            word(&["trial"], "the description of a run: all flags, as plain data (`spec` in run.json)"),
            word(&["store"], "the directory that contains the run directories"),
            term(&["coverage"], "what a pass has to show: successful operations and effective faults"),
            term(&["availability"], "the share of operations that succeeded"),
            term(
                &["recovery"],
                "the time from the end of a fault to the first success of an operation that was invoked after it",
            ),
            term(&["p50", "p99"], "latency that half, or 99 %, of the operations did not exceed"),
            term(&["fail-fast"], "stop at the first violation (the default)"),
            word(&["matrix"], "many runs of every known bug and of every correct system"),
            word(&["flaw"], "a known bug (`--bug`), or a design that is known to be wrong"),
            term(&["guard"], "a second process that cleans up if the controller is killed"),
            term(&["controller"], "the process `tribunal run`: clients, nemesis, proxies and recorder"),
        ],
    },
];

/// The page of the documentation, as Markdown.
pub fn page() -> String {
    let mut page = String::from("# Glossary\n\nThe terms of the reports, the flags and these pages.\n");
    for Subject { title, terms } in GLOSSARY {
        page += &format!("\n## {title}\n\n| term | meaning |\n|---|---|\n");
        for Term { names, meaning, .. } in *terms {
            page += &format!("| {} | {meaning} |\n", names.join(", "));
        }
    }
    page
}
