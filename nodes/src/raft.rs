//! A Raft server (Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm", extended
//! version, 2014; "thesis" is Ongaro's "Consensus: Bridging Theory and Practice", Stanford 2014).
//!
//! ```text
//!   core      the protocol .................................................... pure
//!   protocol  the core behind the interface of the server
//!   wal       term, vote, log and snapshot on disk ............................ I/O
//!   log, message, options, bug ................................................ data
//! ```
//!
//! Sockets, clients and the state machine are those of every replica (`replica.rs`).

mod bug;
pub(crate) mod core;
mod log;
mod message;
mod options;
mod protocol;
#[cfg(test)]
mod tests;
mod wal;

pub use self::bug::Bug;
pub use self::options::Options;

#[cfg(test)]
mod command_line {
    use clap::Parser;

    use super::{Bug, Options};
    use crate::replica::args::NodeArgs;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: NodeArgs<Bug, Options>,
    }

    #[test]
    fn bugs_are_given_by_name() {
        let parse = |more: &str| {
            let needed = "raft --id n1 --listen 127.0.0.1:1 --client 127.0.0.1:2 --data d";
            Cli::try_parse_from(needed.split(' ').chain(more.split(' ')))
        };
        let args =
            parse("--bug stale-read --bug forget-vote").map_err(|error| error.to_string()).unwrap().args;
        assert_eq!(args.bugs, [Bug::StaleRead, Bug::ForgetVote]);
        let why = parse("--bug no-such-bug").map(|_| ()).unwrap_err().to_string();
        assert!(why.contains("no-such-bug"), "{why}");
    }
}
