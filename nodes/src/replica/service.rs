//! The leader's work for all nodes: it puts changes into the log and answers them once they are applied, and
//! answers reads once they are confirmed.

use std::collections::HashMap;
use std::sync::Arc;

use super::gateway::{Attempt, LeaderRequest, LeaderResponse, Token};
use super::{NodeId, NotLeader, Payload, Protocol, ReadId, ServerBugs};
use crate::machine::{Command, Machine, Op, Output, Verb};
use crate::value::Value;

/// The origin of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Requester {
    /// A client of this node.
    Own(Token),
    /// Another node that forwarded its client's request.
    Peer(NodeId, Attempt),
}

/// The state machine, and the requests that wait for it.
#[derive(Debug, Default)]
pub(super) struct Service {
    machine: Machine,
    changes: HashMap<(Arc<str>, u64), Vec<Requester>>,
    reads: HashMap<ReadId, (Requester, Op)>,
    next_read: ReadId,
    bugs: ServerBugs,
    /// With `acks_before_write`: the state machine with everything in this leader's log, committed or not.
    ahead: Option<Machine>,
}

impl Service {
    pub(super) fn new(machine: Machine, bugs: ServerBugs) -> Self {
        Service { machine, bugs, ..Service::default() }
    }

    pub(super) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The state as a snapshot.
    pub(super) fn snapshot(&self) -> Arc<[u8]> {
        match self.bugs.forgets_sessions {
            true => self.machine.snapshot_without_sessions().into(),
            false => self.machine.snapshot().into(),
        }
    }

    /// Whether every node answers reads.
    pub(super) fn reads_here(&self) -> bool {
        self.bugs.reads_here
    }

    /// Accepts a request if this node leads. The answer follows later, except with some of the bugs.
    pub(super) fn submit(
        &mut self,
        core: &mut impl Protocol,
        requester: Requester,
        request: &LeaderRequest,
    ) -> Result<Vec<(Requester, LeaderResponse)>, NotLeader> {
        match request {
            LeaderRequest::Read(op) => {
                core.read(self.next_read)?;
                self.reads.insert(self.next_read, (requester, op.clone()));
                self.next_read += 1;
            }
            LeaderRequest::Change(command) => {
                let name = (command.client.clone(), command.seq);
                if core.is_leader()
                    && let Some(waiting) = self.changes.get_mut(&name)
                {
                    // The command is already in the log, from an earlier attempt.
                    waiting.push(requester);
                    return Ok(Vec::new());
                }
                if self.bugs.acks_before_write {
                    return self.acknowledge_early(core, requester, command);
                }
                if self.bugs.decides_cas_early && command.op.verb == Verb::Cas {
                    return self.decide_early(core, requester, command);
                }
                core.propose(encode(command))?;
                self.changes.insert(name, vec![requester]);
            }
        }
        Ok(Vec::new())
    }

    /// Applies a committed entry, and answers the requests that wait for it.
    pub(super) fn apply(&mut self, payload: &Payload) -> Vec<(Requester, LeaderResponse)> {
        self.machine.advance();
        let Some(command) = decode(payload) else { return Vec::new() };
        let output = if self.bugs.applies_twice {
            self.machine.apply_again(&command)
        } else {
            self.machine.apply(&command)
        };
        let waiting = self.changes.remove(&(command.client, command.seq)).unwrap_or_default();
        waiting.into_iter().map(|requester| (requester, LeaderResponse::Done(output.clone()))).collect()
    }

    /// Answers a read that the protocol has confirmed.
    pub(super) fn answer_read(&mut self, id: ReadId) -> Option<(Requester, LeaderResponse)> {
        let (requester, op) = self.reads.remove(&id)?;
        let output = self.ahead.as_ref().unwrap_or(&self.machine).read(&op);
        Some((requester, LeaderResponse::Done(output)))
    }

    /// Replaces the state machine by a snapshot.
    pub(super) fn install(&mut self, machine: Machine) {
        self.machine = machine;
    }

    /// This node no longer leads: the outcome of the changes is unknown, and the reads must go to another
    /// node.
    pub(super) fn deposed(&mut self) -> Vec<(Requester, LeaderResponse)> {
        self.ahead = None;
        let changes = self.changes.drain().flat_map(|(_, requesters)| requesters);
        let reads = self.reads.drain().map(|(_, (requester, _))| requester);
        changes.chain(reads).map(|requester| (requester, LeaderResponse::Uncertain)).collect()
    }

    /// With `decides_cas_early`: compares with the applied state, logs only a write, and answers.
    fn decide_early(
        &mut self,
        core: &mut impl Protocol,
        requester: Requester,
        command: &Command,
    ) -> Result<Vec<(Requester, LeaderResponse)>, NotLeader> {
        let key = command.op.key.clone();
        let held = self.machine.read(&Op { verb: Verb::Read, key: key.clone(), value: Value::Nil });
        let Value::List(pair) = &command.op.value else { return Ok(Vec::new()) };
        let holds = held == Output::Value(pair[0].clone());
        if holds {
            let op = Op { verb: Verb::Write, key, value: pair[1].clone() };
            core.propose(encode(&Command { op, ..command.clone() }))?;
        } else if !core.is_leader() {
            return Err(NotLeader);
        }
        Ok(vec![(requester, LeaderResponse::Done(Output::Value(holds.into())))])
    }

    /// With `acks_before_write`: applies the change to a copy that is ahead of the log, and answers.
    fn acknowledge_early(
        &mut self,
        core: &mut impl Protocol,
        requester: Requester,
        command: &Command,
    ) -> Result<Vec<(Requester, LeaderResponse)>, NotLeader> {
        let ahead = self.ahead.get_or_insert_with(|| {
            let mut machine = self.machine.clone();
            core.pending().iter().filter_map(decode).for_each(|command| drop(machine.apply(&command)));
            machine
        });
        core.propose(encode(command))?;
        let output: Output = ahead.apply(command);
        Ok(vec![(requester, LeaderResponse::Done(output))])
    }
}

fn encode(command: &Command) -> Arc<[u8]> {
    postcard::to_stdvec(command).expect("commands hold only what postcard can write").into()
}

/// The command of an entry, if it contains one. Every entry was written by [`encode`], here or on another
/// node.
pub(super) fn decode(payload: &Payload) -> Option<Command> {
    match payload {
        Payload::Noop | Payload::Members(_) => None,
        Payload::Command(bytes) => {
            Some(postcard::from_bytes(bytes).expect("commands in the log were encoded here"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chacha20::ChaCha8Rng;
    use chacha20::rand_core::SeedableRng as _;

    use super::*;
    use crate::raft::Bug;
    use crate::raft::core::{Config, Core, Stored};

    /// The leader of a cluster of one, and its service.
    struct Leader {
        core: Core,
        service: Service,
    }

    impl Leader {
        fn new(bugs: &[Bug]) -> Self {
            let config = Config {
                id: "n1".into(),
                peers: Vec::new(),
                election_timeout: (Duration::from_millis(150), Duration::from_millis(300)),
                heartbeat: Duration::from_millis(40),
                options: Default::default(),
                bugs: bugs.to_vec(),
            };
            let core = Core::new(config, Stored::default(), ChaCha8Rng::seed_from_u64(1), Duration::ZERO);
            let mut leader =
                Leader { core, service: Service::new(Machine::default(), Core::server_bugs(bugs)) };
            leader.core.tick(Duration::from_millis(300));
            assert_eq!(leader.commit(), []);
            assert!(leader.core.is_leader());
            leader
        }

        /// Client `c` sends an operation on one key, with this sequence number.
        fn request(
            &mut self,
            token: Token,
            seq: u64,
            f: &str,
            value: Value,
        ) -> Vec<(Requester, LeaderResponse)> {
            let op = Op::parse(f, "k".into(), value).unwrap();
            let request = match op.is_read_only() {
                true => LeaderRequest::Read(op),
                false => LeaderRequest::Change(Command { client: "c".into(), seq, op }),
            };
            self.service.submit(&mut self.core, Requester::Own(token), &request).unwrap()
        }

        /// Makes everything durable, committed and applied, and returns the answers.
        fn commit(&mut self) -> Vec<(Requester, LeaderResponse)> {
            let mut answers = Vec::new();
            // Past the next heartbeat, for leaders that delay their writes until then.
            self.core.tick(Duration::from_secs(1));
            for _ in 0..3 {
                let ready = self.core.ready();
                if let Some(write) = ready.write {
                    self.core.persisted(write.number);
                }
                answers.extend(ready.committed.iter().flat_map(|entry| self.service.apply(&entry.payload)));
                answers.extend(ready.reads.iter().filter_map(|id| self.service.answer_read(*id)));
            }
            answers
        }
    }

    fn done(token: Token, value: impl Into<Value>) -> (Requester, LeaderResponse) {
        (Requester::Own(token), LeaderResponse::Done(Output::Value(value.into())))
    }

    fn pair(from: i64, to: i64) -> Value {
        Value::List(vec![from.into(), to.into()])
    }

    #[test]
    fn a_change_is_answered_when_it_is_applied() {
        let mut leader = Leader::new(&[]);
        assert_eq!(leader.request(1, 1, "add", 5.into()), []);
        assert_eq!(leader.commit(), [done(1, 5)]);
        assert_eq!(leader.request(2, 0, "read", Value::Nil), []);
        assert_eq!(leader.commit(), [done(2, 5)]);
    }

    #[test]
    fn a_second_try_joins_the_first_and_a_late_one_gets_the_same_answer() {
        let mut leader = Leader::new(&[]);
        leader.request(1, 1, "add", 5.into());
        leader.request(2, 1, "add", 5.into());
        assert_eq!(
            leader.core.log().last().index,
            2,
            "it is in the log once, after the leader's first entry"
        );
        assert_eq!(leader.commit(), [done(1, 5), done(2, 5)]);
        leader.request(3, 1, "add", 5.into());
        assert_eq!(leader.commit(), [done(3, 5)]);
    }

    #[test]
    fn whoever_waits_when_the_leader_is_deposed_is_told_that_nobody_knows() {
        let mut leader = Leader::new(&[]);
        leader.request(1, 1, "add", 5.into());
        leader.request(2, 0, "read", Value::Nil);
        let answers = leader.service.deposed();
        assert_eq!(
            answers,
            [(Requester::Own(1), LeaderResponse::Uncertain), (Requester::Own(2), LeaderResponse::Uncertain)]
        );
        assert_eq!(leader.commit(), [], "nobody is told twice");
    }

    #[test]
    fn ack_before_write_answers_at_once_and_reads_its_own_promises() {
        let mut leader = Leader::new(&[Bug::AckBeforeWrite]);
        assert_eq!(leader.request(1, 1, "add", 5.into()), [done(1, 5)]);
        assert_eq!(leader.request(2, 2, "add", 5.into()), [done(2, 10)]);
        assert_eq!(leader.core.commit(), 1, "nothing of that is committed");
        leader.request(3, 0, "read", Value::Nil);
        assert_eq!(leader.commit(), [done(3, 10)]);
    }

    #[test]
    fn apply_twice_on_retry_counts_a_late_second_try() {
        let mut leader = Leader::new(&[Bug::ApplyTwiceOnRetry]);
        leader.request(1, 1, "add", 5.into());
        assert_eq!(leader.commit(), [done(1, 5)]);
        leader.request(2, 1, "add", 5.into());
        assert_eq!(leader.commit(), [done(2, 10)]);
    }

    #[test]
    fn cas_before_commit_lets_two_win() {
        for (bugs, second) in [(&[][..], false), (&[Bug::CasBeforeCommit][..], true)] {
            let mut leader = Leader::new(bugs);
            leader.request(1, 1, "write", 1.into());
            leader.commit();
            let mut answers = leader.request(2, 2, "cas", pair(1, 2));
            answers.extend(leader.request(3, 3, "cas", pair(1, 3)));
            answers.extend(leader.commit());
            answers.retain(|(requester, _)| [Requester::Own(2), Requester::Own(3)].contains(requester));
            assert_eq!(answers, [done(2, true), done(3, second)], "{bugs:?}");
        }
    }
}
