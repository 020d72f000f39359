//! A conversation with `nft`, the program that configures the kernel's packet filter.
//!
//! One process serves the whole run, so a command takes under a millisecond, and a busy controller need not
//! fork. It ends when its input is closed, and so with the controller.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, PipeReader, Write},
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, Stdio},
};

use super::FilterError;

/// `nft -i`, in the network namespace in which it was started.
#[derive(Debug)]
pub(super) struct Nft {
    child: Child,
    /// `None` after the process was told to end.
    input: Option<ChildStdin>,
    output: BufReader<PipeReader>,
}

/// A table for this conversation only.
const TALK: &str = "table ip tribunal_talk {";
/// Its listing marks the end of an answer.
const END: &str = "counter end_of_answer {";

impl Nft {
    pub(super) fn start() -> Result<Nft, FilterError> {
        let spawned = || -> io::Result<Nft> {
            let (output, writer) = io::pipe()?;
            let mut child = Command::new("nft")
                .arg("-i")
                .stdin(Stdio::piped())
                .stdout(writer.try_clone()?)
                .stderr(writer)
                // Protects it from Ctrl-C in the terminal: healing comes after that.
                .process_group(0)
                .spawn()?;
            let input = child.stdin.take();
            Ok(Nft { child, input, output: BufReader::new(output) })
        };
        let mut nft = spawned().map_err(FilterError::Missing)?;
        nft.ask(
            "add table ip tribunal; add table ip tribunal_talk; add counter ip tribunal_talk end_of_answer",
        )?;
        Ok(nft)
    }

    /// Runs commands (on one line) in one transaction, and returns what they list.
    pub(super) fn ask(&mut self, commands: &str) -> Result<String, FilterError> {
        let input = self.input.as_mut().expect("it is there until it is dropped");
        writeln!(input, "{commands}\nlist counter ip tribunal_talk end_of_answer")
            .map_err(|error| FilterError::Refused(format!("it is gone: {error}")))?;
        let mut answer = String::new();
        while !answer.contains(END) {
            let read = self.output.read_line(&mut answer).map_err(FilterError::Missing)?;
            if read == 0 {
                return Err(FilterError::Refused(format!("it ended: {}", answer.trim())));
            }
        }
        // The counts, and the closing braces of the counter and of the table.
        for _ in 0..3 {
            let mut rest = String::new();
            self.output.read_line(&mut rest).map_err(FilterError::Missing)?;
        }
        answer.truncate(answer.find(TALK).unwrap_or(answer.len()));
        match answer.lines().find(|line| line.contains("Error:")) {
            Some(error) => Err(FilterError::Refused(error.trim().to_owned())),
            None => Ok(answer),
        }
    }

    /// The packets and bytes of every counter, by its name.
    pub(super) fn counters(&mut self) -> Result<BTreeMap<String, (u64, u64)>, FilterError> {
        let answer = self.ask("list counters table ip tribunal")?;
        parse_counters(&answer).ok_or_else(|| FilterError::Refused(format!("no counts in {answer:?}")))
    }

    /// Sends marked packets, in the chain `links`, to queue 0.
    ///
    /// # Errors
    /// Why this is not possible.
    pub(super) fn queue_marked(&mut self) -> Result<(), String> {
        let Err(error) = self.ask("add rule ip tribunal links meta mark != 0 queue num 0") else {
            return Ok(());
        };
        // Some kernels offer the queue only through iptables.
        let rule = "-w -A FORWARD -m mark ! --mark 0 -j NFQUEUE --queue-num 0";
        match Command::new("iptables").args(rule.split(' ')).stdin(Stdio::null()).output() {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => {
                Err(format!("{error}; iptables: {}", String::from_utf8_lossy(&output.stderr).trim()))
            }
            Err(missing) => Err(format!("{error}; iptables: {missing}")),
        }
    }
}

impl Drop for Nft {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}

fn parse_counters(listing: &str) -> Option<BTreeMap<String, (u64, u64)>> {
    let mut words = listing.split_whitespace();
    let mut counters = BTreeMap::new();
    while words.any(|word| word == "counter") {
        let name = words.next()?.to_owned();
        let ("{", "packets") = (words.next()?, words.next()?) else { return None };
        let packets = words.next()?.parse().ok()?;
        let "bytes" = words.next()? else { return None };
        counters.insert(name, (packets, words.next()?.parse().ok()?));
    }
    Some(counters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_from_their_listing() {
        let counter =
            |name: &str, packets| format!("\tcounter {name} {{\n\t\tpackets {packets} bytes 720\n\t}}\n\n");
        let listing = format!("table ip tribunal {{\n{}{}}}\n", counter("n1_n2", 12), counter("n2_n1", 0));
        let counted = parse_counters(&listing).unwrap();
        assert_eq!(counted, BTreeMap::from([("n1_n2".into(), (12, 720)), ("n2_n1".into(), (0, 720))]));
        assert_eq!(parse_counters("counter n1_n2 { packets many bytes 1 }"), None);
    }
}
