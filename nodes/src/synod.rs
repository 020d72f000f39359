//! Single-decree Paxos (Lamport, "Paxos Made Simple", 2001, section 2; PMS in what follows): every key is decided once, by an
//! instance of its own, and never changes again.
//!
//! The Synod of the paper has one decree to pass. Every node is proposer, acceptor and learner of every key; for its client a
//! node proposes a value, in as many ballots as it takes:
//!
//! ```text
//!   phase 1   prepare(b)     a majority promises to accept nothing below ballot b, and tells what it has accepted
//!   choose                   the value of the highest ballot that was told; the client's own if there is none
//!   phase 2   accept(b, v)   a majority accepts: v is chosen
//!   learn     chosen(v)      the others are told, and answer from memory from then on
//! ```
//!
//! Two majorities meet, so who prepares after a value was chosen hears of it, and can only propose the same again (P2c). An
//! acceptor has its promises and what it accepted on disk before it answers: it may crash between the phases.
//!
//! ```text
//!   acceptor   promises, accepts .................... pure
//!   proposer   which value a ballot is for .......... pure
//!   synod      ballots, clients, disk ............... I/O
//! ```
//!
//! **What it can do.** `cas [null, v]` proposes v: `true` if it is what was chosen, `false` if something else was. A read makes a
//! ballot without a value of its own: what was accepted before is brought to a majority and returned; where a majority has
//! accepted nothing, nothing was chosen before it was asked, so null is right. Both are linearizable, whatever is lost, late
//! or down, and are answered while a majority can be reached. A value that is known to be chosen needs nobody any more.
//!
//! **What it cannot do.** Change: a register that is written again takes an instance for every write, in an order, and that is
//! [Multi-Paxos](crate::paxos). Nor does it promise an end: two proposers may outbid each other for ever (PMS section 2.4), so each
//! waits a random time before its next ballot.
//!
//! Caveats: every promise is a frame in a log that is never compacted.

mod acceptor;
mod proposer;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use clap::ValueEnum;
use futures_util::StreamExt as _;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use self::acceptor::{Acceptor, Ballot, Proposal, Vote};
use self::proposer::choose;
use crate::logging::log;
use crate::machine::{Command, Verb};
use crate::rpc::{self, Peers, Service};
use crate::value::Value;
use crate::wal::{Found, Magic, Wal};
use crate::wire::Outcome;

/// Marks the files of this protocol.
const MAGIC: Magic = *b"SYN1";
/// Who does not answer for so long is passed over.
const PATIENCE: Duration = Duration::from_millis(150);
/// How long learners may take to confirm that they were told.
const LEARN: Duration = Duration::from_millis(50);
/// No ballot is begun later than this after the request came.
const GIVE_UP: Duration = Duration::from_millis(400);
/// The pause after the first lost ballot is at most so long, after the second twice that, and so on.
const PAUSE_MS_MAX: u64 = 10;

/// A mistake that a node makes on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Bug {
    /// An acceptor accepts below what it has promised (PMS section 2.2, P1a).
    AcceptBelowPromise,
    /// A proposer passes over what acceptors report as accepted, and proposes its client's value (PMS section 2.2, P2c).
    OwnValueOverAccepted,
    /// An acceptor forgets in a crash what it has promised and accepted (PMS section 2.5: stable storage keeps what an acceptor
    /// must remember).
    NothingPersisted,
}

impl rpc::NodeArgs<Bug> {
    pub(crate) fn run(self) -> u8 {
        rpc::run(self.place, |peers, data| Synod::open(peers, data, self.bugs))
    }
}

/// What one node tells or asks another, about a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Ask {
    Prepare(Ballot),
    Accept(Vote),
    Learn(Proposal),
}

/// Yes, and what the acceptor has accepted so far; or no, for it has promised this ballot.
type Answer = Result<Option<Vote>, Ballot>;

/// One node.
struct Synod {
    peers: Peers<(Value, Ask), Answer>,
    state: Mutex<State>,
    bugs: Vec<Bug>,
}

struct State {
    acceptors: BTreeMap<Value, Acceptor>,
    wal: Wal,
    /// What is known to be chosen.
    chosen: BTreeMap<Value, Proposal>,
}

/// A client's request on its way through the ballots.
struct Attempt {
    key: Value,
    /// What the client proposes; a reader proposes nothing.
    own: Option<Proposal>,
    /// Whether some acceptor may have accepted it.
    proposed: bool,
    /// The highest number of a ballot that was in the way.
    outbid: u64,
}

impl Synod {
    fn open(peers: Peers<(Value, Ask), Answer>, data: &Path, bugs: Vec<Bug>) -> io::Result<Self> {
        let Found { wal, batches, .. } =
            Wal::open::<(), (Value, Acceptor)>(data, MAGIC).map_err(io::Error::other)?;
        // Of each key the last counts.
        let acceptors = batches.into_iter().collect();
        let state = Mutex::new(State { acceptors, wal, chosen: BTreeMap::new() });
        Ok(Synod { peers, state, bugs })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }

    /// Lets the acceptor of a key decide; what it must remember is on disk before anybody is told.
    fn with_acceptor<T>(&self, key: &Value, decide: impl FnOnce(&mut Acceptor) -> T) -> T {
        let State { acceptors, wal, .. } = &mut *self.state();
        let acceptor = acceptors.entry(key.clone()).or_default();
        let before = acceptor.clone();
        let decided = decide(acceptor);
        if *acceptor != before
            && !self.bugs.contains(&Bug::NothingPersisted)
            && let Err(error) = wal.store(&(key, &*acceptor))
        {
            log(format_args!("error: cannot write: {error}"));
            std::process::exit(3);
        }
        decided
    }

    fn here(&self, key: &Value, ask: Ask) -> Answer {
        match ask {
            Ask::Prepare(ballot) => self.with_acceptor(key, |acceptor| acceptor.prepare(ballot)),
            Ask::Accept(vote) => self.with_acceptor(key, |acceptor| acceptor.accept(vote, &self.bugs)),
            Ask::Learn(proposal) => {
                self.state().chosen.entry(key.clone()).or_insert(proposal);
                Ok(None)
            }
        }
    }

    /// A ballot of this node's above all that it knows of, which it has promised itself.
    fn new_ballot(&self, key: &Value, above: u64) -> (Ballot, Option<Vote>) {
        self.with_acceptor(key, |acceptor| {
            let ballot =
                Ballot { number: acceptor.promised.number.max(above) + 1, by: self.peers.me.clone() };
            let accepted = acceptor.prepare(ballot.clone());
            (ballot, accepted.expect("it is higher than all that it has promised"))
        })
    }

    /// Asks all the others until a majority, this node included, has said yes; gives what those others have accepted, or the
    /// highest number that was in the way, 0 if it was only silence.
    async fn majority(&self, key: &Value, ask: Ask) -> Result<Vec<Option<Vote>>, u64> {
        let (mut yes, mut outbid) = (Vec::new(), 0);
        let question = (key.clone(), ask);
        let mut answers = self.peers.ask_all(&question, PATIENCE);
        while yes.len() + 1 < self.peers.majority() {
            match answers.next().await {
                Some((_, Ok(accepted))) => yes.push(accepted),
                Some((_, Err(promised))) => outbid = outbid.max(promised.number),
                None => return Err(outbid),
            }
        }
        Ok(yes)
    }

    /// One ballot from its beginning to its end: what was chosen, or that nothing is. The error is the number that was in the way.
    async fn ballot(&self, attempt: &mut Attempt) -> Result<Option<Proposal>, u64> {
        let Attempt { key, own, .. } = &*attempt;
        let (ballot, accepted) = self.new_ballot(key, attempt.outbid);
        let mut told = self.majority(key, Ask::Prepare(ballot.clone())).await?;
        told.push(accepted);
        let Some(proposal) = choose(own.clone(), told, &self.bugs) else { return Ok(None) };

        let vote = Vote { ballot, proposal: proposal.clone() };
        self.here(key, Ask::Accept(vote.clone())).map_err(|promised| promised.number)?;
        attempt.proposed |= attempt.own.as_ref() == Some(&proposal);
        self.majority(&attempt.key, Ask::Accept(vote)).await?;

        let learn = Ask::Learn(proposal.clone());
        let _ = self.here(&attempt.key, learn.clone());
        let question = (attempt.key.clone(), learn);
        let mut learners = self.peers.ask_all(&question, LEARN);
        while learners.next().await.is_some() {}
        Ok(Some(proposal))
    }

    /// Ballot after ballot, until it is known what is chosen, or that nothing is; `None` if none of them came to an end.
    async fn decide(&self, attempt: &mut Attempt) -> Option<Option<Proposal>> {
        let begun = Instant::now();
        for tries in 1.. {
            let known = self.state().chosen.get(&attempt.key).cloned();
            if known.is_some() {
                return Some(known);
            }
            match self.ballot(attempt).await {
                Ok(chosen) => return Some(chosen),
                Err(number) => attempt.outbid = attempt.outbid.max(number),
            }
            if begun.elapsed() > GIVE_UP {
                break;
            }
            let pause = rand::rng().random_range(0..=PAUSE_MS_MAX * tries);
            sleep(Duration::from_millis(pause)).await;
        }
        None
    }
}

impl Service for Synod {
    type Ask = (Value, Ask);
    type Answer = Answer;

    async fn request(&self, Command { client, seq, op }: Command) -> Outcome {
        let own = match (op.verb, op.value) {
            (Verb::Read, _) => None,
            (Verb::Cas, Value::List(pair)) if pair[0] == Value::Nil && pair[1] != Value::Nil => {
                Some(Proposal { client, seq, value: pair[1].clone() })
            }
            _ => {
                return Outcome::Fail(
                    "this system decides once: it reads, and compares-and-sets from null".into(),
                );
            }
        };
        let mut attempt = Attempt { key: op.key, own: own.clone(), proposed: false, outbid: 0 };
        match self.decide(&mut attempt).await {
            Some(chosen) if own.is_some() => Outcome::Ok((chosen == own).into()),
            Some(chosen) => Outcome::Ok(chosen.unwrap_or_default().value.to_json()),
            None if attempt.proposed => Outcome::Info("no majority accepted".into()),
            None => Outcome::Fail("no ballot came to its end".into()),
        }
    }

    async fn answer(&self, _: &str, (key, ask): (Value, Ask)) -> Answer {
        self.here(&key, ask)
    }

    /// Nobody leads: every node is as good as another.
    fn leader(&self) -> Option<(String, u64)> {
        Some((self.peers.me.clone(), 1))
    }
}
