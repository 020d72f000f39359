//! The leader's work for all nodes: it puts changes into the log and answers them once they are applied, and
//! answers reads once they are confirmed.

use std::collections::HashMap;
use std::sync::Arc;

use super::gateway::{Answer, Ask, Attempt, Token};
use super::{Mistakes, NodeId, NotLeader, Payload, Protocol, ReadId};
use crate::machine::{Command, Machine, Op, Output, Verb};
use crate::value::Value;

/// The origin of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// A client of this node.
    Own(Token),
    /// Another node that forwarded its client's request.
    Peer(NodeId, Attempt),
}

/// The state machine, and the requests that wait for it.
#[derive(Debug, Default)]
pub(super) struct Service {
    machine: Machine,
    changes: HashMap<(Arc<str>, u64), Vec<Asker>>,
    reads: HashMap<ReadId, (Asker, Op)>,
    next_read: ReadId,
    mistakes: Mistakes,
    /// With `acks_before_write`: the state machine with everything in this leader's log, committed or not.
    ahead: Option<Machine>,
}

impl Service {
    pub(super) fn new(machine: Machine, mistakes: Mistakes) -> Self {
        Service { machine, mistakes, ..Service::default() }
    }

    pub(super) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Whether every node answers reads.
    pub(super) fn reads_here(&self) -> bool {
        self.mistakes.reads_here
    }

    /// Accepts a request if this node leads. The answer follows later, except with some of the bugs.
    pub(super) fn submit(
        &mut self,
        core: &mut impl Protocol,
        asker: Asker,
        ask: &Ask,
    ) -> Result<Vec<(Asker, Answer)>, NotLeader> {
        match ask {
            Ask::Read(op) => {
                core.read(self.next_read)?;
                self.reads.insert(self.next_read, (asker, op.clone()));
                self.next_read += 1;
            }
            Ask::Change(command) => {
                let name = (command.client.clone(), command.seq);
                if core.is_leader()
                    && let Some(waiting) = self.changes.get_mut(&name)
                {
                    // The command is already in the log, from an earlier attempt.
                    waiting.push(asker);
                    return Ok(Vec::new());
                }
                if self.mistakes.acks_before_write {
                    return self.acknowledge_early(core, asker, command);
                }
                if self.mistakes.decides_cas_early && command.op.verb == Verb::Cas {
                    return self.decide_early(core, asker, command);
                }
                core.propose(encode(command))?;
                self.changes.insert(name, vec![asker]);
            }
        }
        Ok(Vec::new())
    }

    /// Applies a committed entry, and answers the requests that wait for it.
    pub(super) fn apply(&mut self, payload: &Payload) -> Vec<(Asker, Answer)> {
        let Some(command) = decode(payload) else { return Vec::new() };
        let output = if self.mistakes.applies_twice {
            self.machine.apply_again(&command)
        } else {
            self.machine.apply(&command)
        };
        let waiting = self.changes.remove(&(command.client, command.seq)).unwrap_or_default();
        waiting.into_iter().map(|asker| (asker, Answer::Done(output.clone()))).collect()
    }

    /// Answers a read that the protocol has confirmed.
    pub(super) fn answer_read(&mut self, id: ReadId) -> Option<(Asker, Answer)> {
        let (asker, op) = self.reads.remove(&id)?;
        let output = self.ahead.as_ref().unwrap_or(&self.machine).read(&op);
        Some((asker, Answer::Done(output)))
    }

    /// Replaces the state machine by a snapshot.
    pub(super) fn install(&mut self, machine: Machine) {
        self.machine = machine;
    }

    /// This node no longer leads: the outcome of the changes is unknown, and the reads must go to another
    /// node.
    pub(super) fn deposed(&mut self) -> Vec<(Asker, Answer)> {
        self.ahead = None;
        let changes = self.changes.drain().flat_map(|(_, askers)| askers);
        let reads = self.reads.drain().map(|(_, (asker, _))| asker);
        changes.chain(reads).map(|asker| (asker, Answer::Uncertain)).collect()
    }

    /// With `decides_cas_early`: compares with the applied state, logs only a write, and answers.
    fn decide_early(
        &mut self,
        core: &mut impl Protocol,
        asker: Asker,
        command: &Command,
    ) -> Result<Vec<(Asker, Answer)>, NotLeader> {
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
        Ok(vec![(asker, Answer::Done(Output::Value(holds.into())))])
    }

    /// With `acks_before_write`: applies the change to a copy that is ahead of the log, and answers.
    fn acknowledge_early(
        &mut self,
        core: &mut impl Protocol,
        asker: Asker,
        command: &Command,
    ) -> Result<Vec<(Asker, Answer)>, NotLeader> {
        let ahead = self.ahead.get_or_insert_with(|| {
            let mut machine = self.machine.clone();
            core.pending().iter().filter_map(decode).for_each(|command| drop(machine.apply(&command)));
            machine
        });
        core.propose(encode(command))?;
        let output: Output = ahead.apply(command);
        Ok(vec![(asker, Answer::Done(output))])
    }
}

fn encode(command: &Command) -> Arc<[u8]> {
    postcard::to_stdvec(command).expect("commands hold only what postcard can write").into()
}

/// The command of an entry, if it contains one. Every entry was written by [`encode`], here or on another
/// node.
fn decode(payload: &Payload) -> Option<Command> {
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

    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng as _;

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
            let mut leader = Leader { core, service: Service::new(Machine::default(), Core::mistakes(bugs)) };
            leader.core.tick(Duration::from_millis(300));
            assert_eq!(leader.commit(), []);
            assert!(leader.core.is_leader());
            leader
        }

        /// Client `c` sends an operation on one key, with this sequence number.
        fn ask(&mut self, token: Token, seq: u64, f: &str, value: Value) -> Vec<(Asker, Answer)> {
            let op = Op::parse(f, "k".into(), value).unwrap();
            let ask = match op.is_read_only() {
                true => Ask::Read(op),
                false => Ask::Change(Command { client: "c".into(), seq, op }),
            };
            self.service.submit(&mut self.core, Asker::Own(token), &ask).unwrap()
        }

        /// Makes everything durable, committed and applied, and returns the answers.
        fn commit(&mut self) -> Vec<(Asker, Answer)> {
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

    fn done(token: Token, value: impl Into<Value>) -> (Asker, Answer) {
        (Asker::Own(token), Answer::Done(Output::Value(value.into())))
    }

    fn pair(from: i64, to: i64) -> Value {
        Value::List(vec![from.into(), to.into()])
    }

    #[test]
    fn a_change_is_answered_when_it_is_applied() {
        let mut leader = Leader::new(&[]);
        assert_eq!(leader.ask(1, 1, "add", 5.into()), []);
        assert_eq!(leader.commit(), [done(1, 5)]);
        assert_eq!(leader.ask(2, 0, "read", Value::Nil), []);
        assert_eq!(leader.commit(), [done(2, 5)]);
    }

    #[test]
    fn a_second_try_joins_the_first_and_a_late_one_gets_the_same_answer() {
        let mut leader = Leader::new(&[]);
        leader.ask(1, 1, "add", 5.into());
        leader.ask(2, 1, "add", 5.into());
        assert_eq!(
            leader.core.log().last().index,
            2,
            "it is in the log once, after the leader's first entry"
        );
        assert_eq!(leader.commit(), [done(1, 5), done(2, 5)]);
        leader.ask(3, 1, "add", 5.into());
        assert_eq!(leader.commit(), [done(3, 5)]);
    }

    #[test]
    fn whoever_waits_when_the_leader_is_deposed_is_told_that_nobody_knows() {
        let mut leader = Leader::new(&[]);
        leader.ask(1, 1, "add", 5.into());
        leader.ask(2, 0, "read", Value::Nil);
        let told = leader.service.deposed();
        assert_eq!(told, [(Asker::Own(1), Answer::Uncertain), (Asker::Own(2), Answer::Uncertain)]);
        assert_eq!(leader.commit(), [], "nobody is told twice");
    }

    #[test]
    fn ack_before_write_answers_at_once_and_reads_its_own_promises() {
        let mut leader = Leader::new(&[Bug::AckBeforeWrite]);
        assert_eq!(leader.ask(1, 1, "add", 5.into()), [done(1, 5)]);
        assert_eq!(leader.ask(2, 2, "add", 5.into()), [done(2, 10)]);
        assert_eq!(leader.core.commit(), 1, "nothing of that is committed");
        leader.ask(3, 0, "read", Value::Nil);
        assert_eq!(leader.commit(), [done(3, 10)]);
    }

    #[test]
    fn apply_twice_on_retry_counts_a_late_second_try() {
        let mut leader = Leader::new(&[Bug::ApplyTwiceOnRetry]);
        leader.ask(1, 1, "add", 5.into());
        assert_eq!(leader.commit(), [done(1, 5)]);
        leader.ask(2, 1, "add", 5.into());
        assert_eq!(leader.commit(), [done(2, 10)]);
    }

    #[test]
    fn cas_before_commit_lets_two_win() {
        for (bugs, second) in [(&[][..], false), (&[Bug::CasBeforeCommit][..], true)] {
            let mut leader = Leader::new(bugs);
            leader.ask(1, 1, "write", 1.into());
            leader.commit();
            let mut answers = leader.ask(2, 2, "cas", pair(1, 2));
            answers.extend(leader.ask(3, 3, "cas", pair(1, 3)));
            answers.extend(leader.commit());
            answers.retain(|(asker, _)| [Asker::Own(2), Asker::Own(3)].contains(asker));
            assert_eq!(answers, [done(2, true), done(3, second)], "{bugs:?}");
        }
    }
}
