//! Single-decree Paxos (Lamport, "Paxos Made Simple", 2001, section 2; PMS in what follows): every key is
//! decided once, by its own instance, and never changes again.
//!
//! The paper's Synod passes one decree. Every node is proposer, acceptor and learner of every key. For its
//! client a node proposes a value, in as many ballots as needed:
//!
//! ```text
//!   phase 1   prepare(b)     a majority promises to accept nothing below ballot b, and returns what it has accepted
//!   choose                   the value of the highest ballot returned; the client's own if there is none
//!   phase 2   accept(b, v)   a majority accepts: v is chosen
//!   learn     chosen(v)      the other nodes are notified, and answer from memory from then on
//! ```
//!
//! Two majorities share a node, so a prepare after a value was chosen finds it, and the proposer can only
//! propose the same value again (P2c). An acceptor has its promises and acceptances on disk before it
//! answers: it may crash between the phases.
//!
//! ```text
//!   acceptor   promises, accepts .................... pure
//!   proposer   which value a ballot is for .......... pure
//!   synod      ballots, clients, disk ............... I/O
//! ```
//!
//! **What it can do.** `cas [null, v]` proposes v: `true` if v was chosen, `false` if another value was. A
//! read runs a ballot without a value of its own: a value accepted before is brought to a majority and
//! returned. If a majority has accepted nothing, nothing was chosen before the query, so null is correct.
//! Both are linearizable under message loss, delay and crashes, and available while a majority is reachable.
//! A node that knows the chosen value answers without the others.
//!
//! **What it cannot do.** Change a value: a register with several writes needs an ordered instance for every
//! write, which is [Multi-Paxos](crate::paxos). Termination is not guaranteed: two proposers may outbid each
//! other for ever (PMS section 2.4), so each waits a random time before its next ballot.
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
/// A node that does not answer in this time is skipped.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(150);
/// The timeout for learners to confirm a chosen value.
const LEARN_TIMEOUT: Duration = Duration::from_millis(50);
/// No ballot begins later than this after the request arrived.
const BALLOTS_UNTIL: Duration = Duration::from_millis(400);
/// The longest pause after the first lost ballot; it doubles after each further one.
const PAUSE_MS_MAX: u64 = 10;

/// A seeded bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Bug {
    /// An acceptor accepts below what it has promised (PMS section 2.2, P1a).
    AcceptBelowPromise,
    /// A proposer passes over what acceptors report as accepted, and proposes its client's value (PMS section
    /// 2.2, P2c).
    OwnValueOverAccepted,
    /// An acceptor forgets in a crash what it has promised and accepted (PMS section 2.5: stable storage
    /// keeps what an acceptor must remember).
    NothingPersisted,
}

impl rpc::NodeArgs<Bug> {
    pub(crate) fn run(self) -> u8 {
        rpc::run(self.place, |peers, data| Synod::open(peers, data, self.bugs))
    }
}

/// A request from one node to another, about a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum PeerRequest {
    Prepare(Ballot),
    Accept(Vote),
    Learn(Proposal),
}

/// `Ok`: the acceptor agrees; the vote that it has accepted so far. `Err`: it has promised this higher
/// ballot.
type PeerResponse = Result<Option<Vote>, Ballot>;

/// One node.
struct Synod {
    peers: Peers<(Value, PeerRequest), PeerResponse>,
    state: Mutex<State>,
    bugs: Vec<Bug>,
}

struct State {
    acceptors: BTreeMap<Value, Acceptor>,
    wal: Wal,
    /// The values known to be chosen.
    chosen: BTreeMap<Value, Proposal>,
}

/// A client's request on its way through the ballots.
struct Attempt {
    key: Value,
    /// The client's proposal; a reader has none.
    own: Option<Proposal>,
    /// Whether an acceptor may have accepted it.
    proposed: bool,
    /// The highest ballot number that outbid it.
    outbid: u64,
}

impl Synod {
    fn open(
        peers: Peers<(Value, PeerRequest), PeerResponse>,
        data: &Path,
        bugs: Vec<Bug>,
    ) -> io::Result<Self> {
        let Found { wal, batches, .. } =
            Wal::open::<(), (Value, Acceptor)>(data, MAGIC).map_err(io::Error::other)?;
        // The last state of each key counts.
        let acceptors = batches.into_iter().collect();
        let state = Mutex::new(State { acceptors, wal, chosen: BTreeMap::new() });
        Ok(Synod { peers, state, bugs })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }

    /// Runs a step of a key's acceptor; its state is on disk before any reply.
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

    fn execute(&self, key: &Value, request: PeerRequest) -> PeerResponse {
        match request {
            PeerRequest::Prepare(ballot) => self.with_acceptor(key, |acceptor| acceptor.prepare(ballot)),
            PeerRequest::Accept(vote) => {
                self.with_acceptor(key, |acceptor| acceptor.accept(vote, &self.bugs))
            }
            PeerRequest::Learn(proposal) => {
                self.state().chosen.entry(key.clone()).or_insert(proposal);
                Ok(None)
            }
        }
    }

    /// A new ballot of this node above all that it knows; it has promised the ballot itself.
    fn new_ballot(&self, key: &Value, above: u64) -> (Ballot, Option<Vote>) {
        self.with_acceptor(key, |acceptor| {
            let ballot =
                Ballot { number: acceptor.promised.number.max(above) + 1, by: self.peers.me.clone() };
            let accepted = acceptor.prepare(ballot.clone());
            (ballot, accepted.expect("it is higher than all that it has promised"))
        })
    }

    /// Sends a request to all peers until a majority, this node included, has agreed. Returns the accepted
    /// votes of those peers; the error is the highest ballot number that outbid this one, 0 if there was only
    /// silence.
    async fn majority(&self, key: &Value, request: PeerRequest) -> Result<Vec<Option<Vote>>, u64> {
        let (mut yes, mut outbid) = (Vec::new(), 0);
        let request = (key.clone(), request);
        let mut answers = self.peers.call_all(&request, RESPONSE_TIMEOUT);
        while yes.len() + 1 < self.peers.majority() {
            match answers.next().await {
                Some((_, Ok(accepted))) => yes.push(accepted),
                Some((_, Err(promised))) => outbid = outbid.max(promised.number),
                None => return Err(outbid),
            }
        }
        Ok(yes)
    }

    /// Runs one ballot. Returns the chosen proposal, or `None` if nothing is chosen. The error is the ballot
    /// number that outbid it.
    async fn ballot(&self, attempt: &mut Attempt) -> Result<Option<Proposal>, u64> {
        let Attempt { key, own, .. } = &*attempt;
        let (ballot, accepted) = self.new_ballot(key, attempt.outbid);
        let mut votes = self.majority(key, PeerRequest::Prepare(ballot.clone())).await?;
        votes.push(accepted);
        let Some(proposal) = choose(own.clone(), votes, &self.bugs) else { return Ok(None) };

        let vote = Vote { ballot, proposal: proposal.clone() };
        self.execute(key, PeerRequest::Accept(vote.clone())).map_err(|promised| promised.number)?;
        attempt.proposed |= attempt.own.as_ref() == Some(&proposal);
        self.majority(&attempt.key, PeerRequest::Accept(vote)).await?;

        let learn = PeerRequest::Learn(proposal.clone());
        let _ = self.execute(&attempt.key, learn.clone());
        let request = (attempt.key.clone(), learn);
        let mut learners = self.peers.call_all(&request, LEARN_TIMEOUT);
        while learners.next().await.is_some() {}
        Ok(Some(proposal))
    }

    /// Runs ballots until it is known which proposal is chosen, or that none is; `None` if no ballot
    /// succeeded in time.
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
            if begun.elapsed() > BALLOTS_UNTIL {
                break;
            }
            let pause = rand::rng().random_range(0..=PAUSE_MS_MAX * tries);
            sleep(Duration::from_millis(pause)).await;
        }
        None
    }
}

impl Service for Synod {
    type PeerRequest = (Value, PeerRequest);
    type PeerResponse = PeerResponse;

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

    async fn answer(&self, _: &str, (key, request): (Value, PeerRequest)) -> PeerResponse {
        self.execute(&key, request)
    }

    /// There is no leader: all nodes are equal.
    fn leader(&self) -> Option<(String, u64)> {
        Some((self.peers.me.clone(), 1))
    }
}
