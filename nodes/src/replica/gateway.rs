//! What every node does for its clients: get their requests answered by the current leader, and report what
//! is known about the outcome.
//!
//! A request is tried at once: here if this node leads, otherwise it is forwarded to the leader that the node
//! knows. It is retried, with the same client and sequence number, when the leadership changes, when the node
//! that received it answers that it does not lead, or when there was no answer for a while; until the
//! request's deadline. The state machine applies it once (see [`crate::machine`]).
//!
//! **When is `fail` true?** Only if the request was certainly never put into any log: this node's own log
//! never accepted it, and every forwarding of it is known to be refused. A forwarding without an answer may
//! still lie in a stalled connection and be accepted at any later time: `info`. Reads change nothing, so they
//! may always fail.
//!
//! Pure: time and answers go in, actions come out.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Time;
use crate::machine::{Command, Op, Output};
use crate::wire::Outcome;

/// A forwarded request without an answer is sent again after this time.
const RETRY: Duration = Duration::from_millis(250);

/// The pause after a refusal: the next leader is usually known soon.
const PAUSE: Duration = Duration::from_millis(15);

/// A request to the leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum LeaderRequest {
    Read(Op),
    Change(Command),
}

/// The response of the leader, or of a node that was believed to lead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum LeaderResponse {
    Done(Output),
    /// It did not accept the request: this attempt has put nothing into any log.
    NotLeader,
    /// It accepted the request and was deposed before the request was committed.
    Uncertain,
}

/// The ID of a request on this node.
pub(super) type Token = u64;

/// The ID of one forwarding of a request. `boot` distinguishes the node's process lifetimes: an answer to an
/// earlier process must not be used by this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempt {
    boot: u64,
    token: Token,
    number: u32,
}

#[derive(Debug)]
struct Pending<R> {
    request: LeaderRequest,
    reply: R,
    deadline: Time,
    /// When to try (again); `Time::MAX` while the request is in this node's own log.
    next_try: Time,
    /// Whether this node's own log accepted it.
    taken: bool,
    tries: u32,
    /// The forwardings that were not refused.
    open: Vec<u32>,
}

/// The requests of this node's clients; `R` is the means to reply to one.
#[derive(Debug)]
pub(super) struct Gateway<R> {
    boot: u64,
    next: Token,
    pending: BTreeMap<Token, Pending<R>>,
    /// FailInsteadOfInfo: a request without an answer is reported as failed.
    fails: bool,
}

impl<R> Gateway<R> {
    /// `boot` must differ between the processes of a node.
    pub(super) fn new(boot: u64, fails: bool) -> Self {
        Gateway { boot, next: 0, pending: BTreeMap::new(), fails }
    }

    /// A client's request.
    pub(super) fn accept(&mut self, now: Time, request: LeaderRequest, timeout: Duration, reply: R) {
        self.next += 1;
        let deadline = now.saturating_add(timeout);
        let pending =
            Pending { request, reply, deadline, next_try: now, taken: false, tries: 0, open: Vec::new() };
        self.pending.insert(self.next, pending);
    }

    /// The requests that should be tried now.
    pub(super) fn due(&self, now: Time) -> Vec<Token> {
        let due =
            self.pending.iter().filter(|(_, pending)| pending.next_try <= now && now < pending.deadline);
        due.map(|(&token, _)| token).collect()
    }

    /// The content of a request.
    pub(super) fn request(&self, token: Token) -> Option<&LeaderRequest> {
        self.pending.get(&token).map(|pending| &pending.request)
    }

    /// This node leads, and its log accepted the request.
    pub(super) fn taken(&mut self, token: Token) {
        if let Some(pending) = self.pending.get_mut(&token) {
            pending.taken = true;
            pending.next_try = Time::MAX;
        }
    }

    /// The request is about to be forwarded; its answer will carry this ID.
    pub(super) fn forward(&mut self, now: Time, token: Token) -> Option<(Attempt, LeaderRequest)> {
        let pending = self.pending.get_mut(&token)?;
        pending.tries += 1;
        pending.open.push(pending.tries);
        pending.next_try = now + RETRY;
        Some((Attempt { boot: self.boot, token, number: pending.tries }, pending.request.clone()))
    }

    /// The leadership has changed: all requests are tried again.
    pub(super) fn leader_changed(&mut self, now: Time) {
        for pending in self.pending.values_mut() {
            pending.next_try = now;
        }
    }

    /// A forwarding was answered.
    pub(super) fn forwarding_answered(
        &mut self,
        now: Time,
        attempt: Attempt,
        answer: LeaderResponse,
    ) -> Option<(R, Outcome)> {
        if attempt.boot != self.boot {
            return None;
        }
        if answer == LeaderResponse::NotLeader
            && let Some(pending) = self.pending.get_mut(&attempt.token)
        {
            pending.open.retain(|&number| number != attempt.number);
        }
        self.answered(now, attempt.token, answer)
    }

    /// Handles a response. Returns the outcome for the client if it is final.
    pub(super) fn answered(
        &mut self,
        now: Time,
        token: Token,
        answer: LeaderResponse,
    ) -> Option<(R, Outcome)> {
        let LeaderResponse::Done(output) = answer else {
            let pending = self.pending.get_mut(&token)?;
            pending.next_try = now + PAUSE;
            return None;
        };
        let pending = self.pending.remove(&token)?;
        Some((pending.reply, outcome_of(output)))
    }

    /// The requests past their deadline, with the outcomes for their clients.
    pub(super) fn expire(&mut self, now: Time) -> Vec<(R, Outcome)> {
        let is_over = |(&token, pending): (&Token, &Pending<R>)| (pending.deadline <= now).then_some(token);
        let over: Vec<Token> = self.pending.iter().filter_map(is_over).collect();
        let mut outcomes = Vec::new();
        for pending in over.iter().filter_map(|token| self.pending.remove(token)) {
            let outcome = match pending.request {
                LeaderRequest::Read(_) => Outcome::Fail("no leader answered the read in time".into()),
                LeaderRequest::Change(_) if !pending.taken && pending.open.is_empty() => {
                    Outcome::Fail("no leader was found in time".into())
                }
                LeaderRequest::Change(_) if self.fails => Outcome::Fail("no answer in time".into()),
                LeaderRequest::Change(_) => Outcome::Info("handed on, and no answer in time".into()),
            };
            outcomes.push((pending.reply, outcome));
        }
        outcomes
    }

    /// The next time at which a request is due. Without a leader no request can be tried.
    pub(super) fn next_wake(&self, has_leader: bool) -> Option<Time> {
        let wake = |pending: &Pending<R>| {
            if has_leader { pending.deadline.min(pending.next_try) } else { pending.deadline }
        };
        self.pending.values().map(wake).min()
    }
}

/// The outcome for a client of an operation that was applied or finally refused.
pub(crate) fn outcome_of(output: Output) -> Outcome {
    match output {
        Output::Value(value) => Outcome::Ok(value.to_json()),
        Output::Refused(why) => Outcome::Fail(why),
        Output::Overtaken => Outcome::Info("a later operation of this client was carried out first".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    const SECOND: Duration = Duration::from_secs(1);

    fn request(f: &str) -> LeaderRequest {
        let op = Op::parse(f, "k".into(), 1.into()).unwrap();
        if op.is_read_only() {
            LeaderRequest::Read(op)
        } else {
            LeaderRequest::Change(Command { client: "c".into(), seq: 1, op })
        }
    }

    fn ms(ms: u64) -> Time {
        Duration::from_millis(ms)
    }

    /// A gateway with one request, token 1, that arrived at time 0 with a timeout of one second.
    fn gateway(f: &str) -> Gateway<()> {
        let mut gateway = Gateway::new(7, false);
        gateway.accept(ms(0), request(f), SECOND, ());
        gateway
    }

    fn at_deadline(mut gateway: Gateway<()>) -> Outcome {
        assert!(gateway.expire(ms(999)).is_empty());
        gateway.expire(ms(1000)).remove(0).1
    }

    #[test]
    fn a_write_that_nobody_was_asked_for_fails() {
        assert!(matches!(at_deadline(gateway("write")), Outcome::Fail(_)));
    }

    #[test]
    fn a_write_in_the_own_log_is_info() {
        let mut gateway = gateway("write");
        gateway.taken(1);
        assert!(gateway.due(ms(900)).is_empty(), "it is not tried again while this node leads");
        gateway.answered(ms(900), 1, LeaderResponse::Uncertain);
        assert_eq!(gateway.due(ms(950)), [1]);
        assert!(matches!(at_deadline(gateway), Outcome::Info(_)));
    }

    #[test]
    fn a_forwarded_write_fails_only_if_every_forwarding_was_refused() {
        for (first, second, fails) in [
            (Some(LeaderResponse::NotLeader), Some(LeaderResponse::NotLeader), true),
            (Some(LeaderResponse::NotLeader), None, false),
            (None, Some(LeaderResponse::NotLeader), false),
            (Some(LeaderResponse::Uncertain), Some(LeaderResponse::NotLeader), false),
        ] {
            let mut gateway = gateway("write");
            let (a, _) = gateway.forward(ms(0), 1).unwrap();
            let (b, _) = gateway.forward(ms(300), 1).unwrap();
            for (attempt, answer) in [(a, &first), (b, &second)] {
                if let Some(answer) = answer {
                    assert!(gateway.forwarding_answered(ms(400), attempt, answer.clone()).is_none());
                }
            }
            let outcome = at_deadline(gateway);
            assert_eq!(matches!(outcome, Outcome::Fail(_)), fails, "{first:?} {second:?} {outcome:?}");
        }
    }

    #[test]
    fn a_refusal_that_comes_twice_excuses_one_forwarding_only() {
        let mut gateway = gateway("write");
        let (a, _) = gateway.forward(ms(0), 1).unwrap();
        gateway.forward(ms(300), 1);
        gateway.forwarding_answered(ms(400), a, LeaderResponse::NotLeader);
        gateway.forwarding_answered(ms(400), a, LeaderResponse::NotLeader);
        assert!(matches!(at_deadline(gateway), Outcome::Info(_)));
    }

    #[test]
    fn fail_instead_of_info_claims_what_it_cannot_know() {
        let mut gateway = Gateway::new(7, true);
        gateway.accept(ms(0), request("write"), SECOND, ());
        gateway.taken(1);
        assert!(matches!(at_deadline(gateway), Outcome::Fail(_)));
    }

    #[test]
    fn a_read_fails_whoever_was_asked() {
        let mut gateway = gateway("read");
        gateway.forward(ms(0), 1);
        assert!(matches!(at_deadline(gateway), Outcome::Fail(_)));
    }

    #[test]
    fn an_answer_settles_the_request_and_is_given_once() {
        let mut gateway = gateway("write");
        let (attempt, _) = gateway.forward(ms(0), 1).unwrap();
        assert!(gateway.due(ms(249)).is_empty());
        assert_eq!(gateway.due(ms(250)), [1], "silence: try again");
        let done = LeaderResponse::Done(Output::Value(Value::Nil));
        let outcome = gateway.forwarding_answered(ms(260), attempt, done.clone());
        assert_eq!(outcome, Some(((), Outcome::Ok(serde_json::Value::Null))));
        assert_eq!(gateway.forwarding_answered(ms(260), attempt, done), None);
        assert!(gateway.expire(ms(5000)).is_empty());
    }

    #[test]
    fn an_answer_to_an_earlier_life_is_not_taken() {
        let mut before = gateway("write");
        let (attempt, _) = before.forward(ms(0), 1).unwrap();
        let mut after = Gateway::new(8, false);
        after.accept(ms(0), request("add"), SECOND, ());
        assert_eq!(
            after.forwarding_answered(ms(1), attempt, LeaderResponse::Done(Output::Value(Value::Nil))),
            None
        );
        assert_eq!(after.due(ms(1)), [1]);
    }

    #[test]
    fn a_change_of_leader_makes_everything_due() {
        let mut gateway = gateway("write");
        gateway.forward(ms(0), 1);
        gateway.leader_changed(ms(10));
        assert_eq!(gateway.due(ms(10)), [1]);
        assert_eq!(gateway.next_wake(false), Some(SECOND), "without a leader only the deadline counts");
    }
}
