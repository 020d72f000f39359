//! The driver: applies each step of a plan at its time, undoes it after its hold, records both, and leaves
//! nothing behind, however it ends.
//!
//! ```text
//!   timeline:   Begin(0)  Acts(0)  End(0)      Begin(1)         End(1)   ...    one queue, by time;
//!               ───┴─────────┴───────┴───────────┴────────────────┴─────────▶   steps may overlap
//! ```
//!
//! Only the next step of the plan is in the queue, because a plan is drawn lazily. The end of a step removes
//! its remaining events from the queue: a step that is cut short does nothing more, and its record says what
//! it did.
//!
//! # Claims
//!
//! A *claim* is (fault, act): this fault wants this act to be in force. The driver makes the claim before it
//! tries the act, so an act that fails half-way, or never returns, is undone as well. Undoing an act gives up
//! its claim. What the driver does then depends on other claims on the same effect, that is, with the same
//! undo:
//!
//! ```text
//!   fault 0   ├── kill n1 ─────────────────┤ gives up                                undo of both: start n1
//!   fault 1           ├── terminate n1 ────────────────────────┤ gives up
//!                                          │                   │
//!   done        kill  terminate            terminate again     start
//!   n1        ──┐                          (nothing to do)     ┌────────
//!               └───────────── down ───────────────────────────┘
//! ```
//!
//! - There is no other claim: the undo is applied.
//! - Another fault has such a claim: its act is applied again instead, the newest if there are several. Acts
//!   lead to a state, so for a node that is down this does nothing. If two faults cut or degrade a link in
//!   different ways, the other way is in force from then on.
//! - The undo started a new process: acts of other faults that impair the process without stopping it (a
//!   skewed clock, a limit) are applied again to the new one.
//!
//! Faults on the same node whose acts have different undos (a pause and a cut, say) are independent. There
//! are only three exceptions: a node that another fault holds down is not paused, does not count as having
//! died of its limits, and is not started when they are raised.
//!
//! # The leader
//!
//! A step that follows the leader is applied to the new leader first, and only then undone for the old one,
//! so the two are never free at the same time.

mod claims;
mod timeline;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{select, sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    Act, DiskCounters, FaultEffect, FaultEvent, FaultOutcome, FaultRecord, LinkCounters, Links, NodeId,
    NodeState, Nodes, Plan, RunEvent, Step, TimedAct,
    act::verb::{Reversal, Verb},
    faults::{disk_fault::MendDisk, kill::Start, pause::Resume},
    plan::{self, record::proves_effect, trigger::ArmedTrigger},
    processes::NodeLocks,
};
use claims::{Claim, Claims};
use timeline::{Event, PendingStep, Source, Timeline};

/// How long a fault waits for a known leader, and the pause between two requests.
const PRIMARIES_WAIT: Duration = Duration::from_secs(1);
const PRIMARIES_PAUSE: Duration = Duration::from_millis(50);
/// Acts that are due in a step, but late, are still done until this long after its end.
const LATE_MAX: Duration = Duration::from_secs(1);
/// How long an act may take before it counts as indeterminate.
const ACT_WAIT: Duration = Duration::from_secs(20);

/// Some acts could not be undone, so the cluster is not as it was. A harness failure, not a failure of the
/// system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not heal: {}", .0.join("; "))]
pub struct HealError(pub Vec<String>);

/// Carries out `plan` on the nodes and links. Returns when all steps are done and undone and no trigger can
/// fire any more, or, once `stop` is cancelled, as soon as everything is undone.
///
/// `clock` returns nanoseconds since the start of the run. Triggers, and steps that follow the leader,
/// receive `run_events`, as long as there is a sender. `record` is called when a fault is applied, changes,
/// or is healed, in the order of the records' times.
///
/// # Errors
/// What could not be undone. Everything else was.
pub async fn drive<N: Nodes>(
    plan: Plan,
    nodes: Arc<N>,
    links: Arc<Links>,
    clock: impl Fn() -> u64 + Send,
    stop: CancellationToken,
    run_events: mpsc::UnboundedReceiver<RunEvent>,
    record: impl FnMut(FaultRecord) + Send,
) -> Result<(), HealError> {
    // Opens the links even if this future is dropped.
    let open_on_drop = OpenOnDrop(links.clone());
    let mut driver = Driver {
        locks: NodeLocks::new(nodes.clone()),
        nodes: &*nodes,
        links: &links,
        clock,
        record,
        timeline: Timeline::default(),
        numbered: 0,
        coming: Box::new(plan.in_order()),
        triggers: plan.triggers.into_iter().map(ArmedTrigger::new).collect(),
        claims: Claims::default(),
        running: BTreeMap::new(),
        unhealed: Vec::new(),
    };
    driver.follow(run_events, &stop).await;
    for i in driver.running.keys().copied().collect::<Vec<_>>() {
        driver.end(i).await;
    }
    let unhealed = driver.unhealed;
    drop(open_on_drop);
    match heal_everything(&*nodes, &links).await {
        // A failure that the second attempt has corrected is no failure.
        Ok(()) => Ok(()),
        Err(HealError(now)) => Err(HealError(unhealed.into_iter().chain(now).collect())),
    }
}

/// Opens every link, resumes every node, and starts the nodes that are down. May be called at any time, any
/// number of times.
///
/// # Errors
/// When a node cannot be resumed or started.
pub async fn heal_everything<N: Nodes>(nodes: &N, links: &Links) -> Result<(), HealError> {
    let links_healed = links.try_heal_all();
    let healed = join_all((0..nodes.count()).map(NodeId).map(|node| async move {
        in_time(Resume.on(node), nodes.resume(node)).await?;
        in_time(MendDisk.on(node), nodes.set_disk_fault(node, None)).await?;
        in_time(Start.on(node), nodes.start(node)).await
    }));
    let healed = healed.await;
    // Only a running cluster can add its members again.
    let complete = in_time_of("the members", nodes.restore_members()).await;
    let problems: Vec<String> =
        healed.into_iter().chain([links_healed, complete]).filter_map(Result::err).collect();
    if problems.is_empty() { Ok(()) } else { Err(HealError(problems)) }
}

async fn in_time<T>(act: Act, done: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    in_time_of(&act.to_string(), done).await
}

async fn in_time_of<T>(what: &str, done: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    match timeout(ACT_WAIT, done).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(why)) => Err(format!("{what}: {why}")),
        Err(_) => Err(format!("{what}: not done after {} s", ACT_WAIT.as_secs())),
    }
}

/// Joins problems in one text, each once, with a count if it occurred repeatedly.
fn summary(problems: Vec<String>) -> String {
    let mut times: Vec<(String, usize)> = Vec::new();
    for problem in problems {
        match times.iter_mut().find(|(known, _)| *known == problem) {
            Some((_, times)) => *times += 1,
            None => times.push((problem, 1)),
        }
    }
    let words = times.into_iter().map(|(problem, times)| match times {
        1 => problem,
        _ => format!("{problem} ({times} times)"),
    });
    words.collect::<Vec<_>>().join("; ")
}

/// Milliseconds in nanoseconds; a time that does not fit never comes.
fn nanos(ms: u64) -> u64 {
    ms.saturating_mul(1_000_000)
}

struct OpenOnDrop(Arc<Links>);

impl Drop for OpenOnDrop {
    fn drop(&mut self) {
        self.0.heal_all();
    }
}

/// A step adapted to the current state of the cluster.
struct Resolved {
    acts: Vec<TimedAct>,
    /// The current leader, if the step targets it.
    leader: Option<NodeId>,
    note: Option<String>,
}

/// A step that has begun and not ended.
struct RunningStep {
    step: Step,
    /// The trigger that planned the step: it sleeps until the step ends.
    trigger: Option<usize>,
    /// Its first record, but with the latest label, nodes and links.
    record: FaultRecord,
    /// Its acts that have been tried so far.
    done: Vec<TimedAct>,
    /// The leader when the step began, if the step targets it.
    leader: Option<NodeId>,
    /// There is a new leader, and the step is about to be applied to it.
    behind: bool,
    /// Counters of its links and disks before it began.
    before: (LinkCounters, DiskCounters),
    /// Nodes that it stopped, and that were seen to be stopped.
    stopped: BTreeSet<NodeId>,
    /// Effects that its undoing acts have reported so far.
    found: FaultEffect,
    /// What its acts hit, where they chose at random.
    touched: Vec<String>,
    /// What went wrong after it was applied.
    problems: Vec<String>,
}

impl RunningStep {
    /// When it is to end, in nanoseconds since the start of the run.
    fn ends(&self) -> u64 {
        self.record.t.saturating_add(nanos(self.step.hold_ms))
    }

    /// Stores what is in force now.
    fn remember(&mut self, record: &FaultRecord) {
        self.record.label.clone_from(&record.label);
        self.record.nodes.clone_from(&record.nodes);
        self.record.cuts.clone_from(&record.cuts);
    }
}

struct Driver<'a, N, C, R> {
    nodes: &'a N,
    locks: NodeLocks<N>,
    links: &'a Links,
    clock: C,
    record: R,
    timeline: Timeline,
    /// Number of steps that have a number.
    numbered: usize,
    /// The remaining steps of the plan.
    coming: Box<dyn Iterator<Item = Step> + Send>,
    triggers: Vec<ArmedTrigger>,
    claims: Claims,
    /// Running steps by their numbers.
    running: BTreeMap<usize, RunningStep>,
    unhealed: Vec<String>,
}

impl<N: Nodes, C: Fn() -> u64, R: FnMut(FaultRecord)> Driver<'_, N, C, R> {
    /// Processes the timeline until it is empty and nothing can be added, or `stop` is cancelled.
    async fn follow(&mut self, mut run_events: mpsc::UnboundedReceiver<RunEvent>, stop: &CancellationToken) {
        self.plan_next();
        let mut listening = true;
        loop {
            let next = self.timeline.next_at();
            if next.is_none() && !(listening && self.triggers.iter().any(ArmedTrigger::is_alive)) {
                return;
            }
            select! {
                biased;
                () = stop.cancelled() => return,
                () = self.until(next.unwrap_or(0)), if next.is_some() => {}
                event = run_events.recv(), if listening => {
                    listening = event.is_some();
                    event.into_iter().for_each(|event| self.on_event(&event));
                    continue;
                }
            }
            let (source, event) = self.timeline.pop().expect("its time was looked at");
            match event {
                Event::Begin(coming) => {
                    if source == Source::Plan {
                        self.plan_next();
                    }
                    select! {
                        biased;
                        () = stop.cancelled() => return,
                        acts = self.resolve(&coming.step) => self.begin(*coming, acts).await,
                    }
                }
                Event::Acts(i, acts) => self.shift(i, acts).await,
                Event::End(i) => self.end(i).await,
            }
        }
    }

    /// Puts the plan's next step into the timeline, if there is one.
    fn plan_next(&mut self) {
        if let Some(step) = self.coming.next() {
            let (i, at) = (self.number(), nanos(step.at_ms));
            self.timeline.add(
                at,
                Source::Plan,
                Event::Begin(Box::new(PendingStep { i, step, trigger: None })),
            );
        }
    }

    /// Takes the number of a new step.
    fn number(&mut self) -> usize {
        self.numbered += 1;
        self.numbered - 1
    }

    /// Passes an event to the triggers, and plans the steps of those that fire.
    fn on_event(&mut self, event: &RunEvent) {
        for trigger in 0..self.triggers.len() {
            let Some((after_ms, mut step)) = self.triggers[trigger].on_event(event) else { continue };
            step.at_ms = ((self.clock)() / 1_000_000).saturating_add(after_ms);
            let i = self.number();
            let at = nanos(step.at_ms);
            self.schedule(at, Event::Begin(Box::new(PendingStep { i, step, trigger: Some(trigger) })));
        }
        if let RunEvent::Leader(leader) = event {
            self.follow_leader(*leader);
        }
    }

    /// Plans all steps again that follow the leader and target another node, for the rest of their hold.
    fn follow_leader(&mut self, leader: NodeId) {
        let now = (self.clock)();
        let mut due: Vec<(usize, u64, Step, Option<usize>)> = Vec::new();
        for (&i, running) in &mut self.running {
            let mut step = running.step.clone();
            let Some(after_ms) = step.follows_ms.first() else { continue };
            let ends = running.ends();
            let again = now.saturating_add(nanos(*after_ms));
            if running.behind || running.leader.is_none_or(|before| before == leader) || again >= ends {
                continue;
            }
            running.behind = true;
            step.follows_ms.rotate_left(1);
            step.at_ms = again / 1_000_000;
            step.hold_ms = ((ends - again) / 1_000_000).max(1);
            due.push((i, again, step, running.trigger.take()));
        }
        for (i, again, step, trigger) in due {
            let next = self.number();
            self.timeline.drop_step(i);
            self.schedule(again, Event::Begin(Box::new(PendingStep { i: next, step, trigger })));
            self.schedule(again, Event::End(i));
        }
    }

    /// Wakes the trigger that planned a step, because the step has ended.
    fn wake(&mut self, trigger: Option<usize>) {
        if let Some(trigger) = trigger {
            self.triggers[trigger].wake();
        }
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.timeline.add(at, Source::Run, event);
    }

    async fn until(&self, at: u64) {
        loop {
            match at.checked_sub((self.clock)()) {
                None | Some(0) => return,
                Some(left) => tokio::time::sleep(Duration::from_nanos(left)).await,
            }
        }
    }

    /// The acts of a step with the current leader in them.
    ///
    /// # Errors
    /// Why the step is skipped.
    async fn resolve(&self, step: &Step) -> Result<Resolved, String> {
        let count = self.nodes.count();
        if step.acts.is_empty() {
            let nodes = if count == 1 { "node" } else { "nodes" };
            return Err(format!("{} {} needs more than {count} {nodes}", step.fault, step.kind));
        }
        if let Some(node) = plan::unknown_node(&step.acts, count) {
            return Err(format!("there is no {node} in a cluster of {count}"));
        }
        let on_nodes = || step.acts.iter().filter_map(|timed| timed.act.node().map(|node| (timed.act, node)));
        let pid = |node: NodeId| self.nodes.pid(node);
        if let Some(why) = on_nodes().find_map(|(act, node)| (act.spec().unavailable)(pid(node))) {
            return Err(why);
        }
        if let Some(why) = self.links.cannot(&step.acts) {
            return Err(why);
        }
        let note = on_nodes().find_map(|(act, node)| (act.spec().note)(pid(node)));
        let possible = |acts: Vec<TimedAct>| {
            acts.iter().try_for_each(|timed| self.nodes.allows(timed.act))?;
            let is_down = |node: &NodeId| self.nodes.state(*node) == NodeState::Down;
            plan::on_running(acts, step.drawn, &(0..count).map(NodeId).filter(is_down).collect(), count)
        };
        let Some(stand_in) = step.leader else {
            return Ok(Resolved { acts: possible(step.acts.clone())?, leader: None, note });
        };
        // During an election there is no leader, but soon there will be one.
        let leader = async {
            loop {
                let primaries = self.nodes.primaries().await;
                match primaries.into_iter().find(|leader| leader.0 < count) {
                    Some(leader) => return leader,
                    None => tokio::time::sleep(PRIMARIES_PAUSE).await,
                }
            }
        };
        match timeout(PRIMARIES_WAIT, leader).await.ok() {
            Some(leader) => Ok(Resolved { acts: possible(step.led_by(leader))?, leader: Some(leader), note }),
            None => {
                let note = Some(format!("no leader known; targeting {stand_in}"));
                Ok(Resolved { acts: possible(step.acts.clone())?, leader: Some(stand_in), note })
            }
        }
    }

    async fn begin(&mut self, coming: PendingStep, resolved: Result<Resolved, String>) {
        let PendingStep { i, step, trigger } = coming;
        let t = (self.clock)();
        let (Resolved { acts, leader, note }, outcome) = match resolved {
            Ok(resolved) => (resolved, FaultOutcome::Installed),
            Err(why) => {
                let acts = step.acts.clone();
                (Resolved { acts, leader: None, note: Some(why) }, FaultOutcome::Skipped)
            }
        };
        let mut record = FaultRecord {
            n: None,
            schema_version: None,
            i,
            t,
            took_ms: 0,
            event: FaultEvent::Apply,
            fault: step.fault.clone(),
            kind: step.kind.clone(),
            nodes: plan::aimed_at(&acts),
            cuts: plan::cuts(&acts),
            idle: false,
            mode: plan::mode(&acts),
            planned_ms: Some(step.at_ms),
            hold_ms: step.hold_ms,
            outcome,
            why: note,
            label: plan::label(&step.fault, &step.kind, plan::is_staged(&acts), &acts),
            acts,
            touched: Vec::new(),
            effect: None,
            effective: None,
        };
        if outcome == FaultOutcome::Skipped {
            (self.record)(record);
            self.wake(trigger);
            return;
        }
        let before = self.counted(&record.acts);
        let mut later: BTreeMap<u64, Vec<TimedAct>> = BTreeMap::new();
        for timed in record.acts.iter().filter(|timed| timed.after_ms > 0) {
            later.entry(timed.after_ms).or_default().push(*timed);
        }
        for (after_ms, acts) in later {
            self.schedule(t.saturating_add(nanos(after_ms)), Event::Acts(i, acts));
        }
        self.schedule(t.saturating_add(nanos(step.hold_ms)), Event::End(i));
        let done: Vec<TimedAct> = record.acts.iter().filter(|timed| timed.after_ms == 0).copied().collect();
        let at_once = done.iter().map(|timed| timed.act).collect();
        // Inserted before the acts are applied, so that their effects are counted.
        let running = RunningStep {
            step,
            trigger,
            record: record.clone(),
            done,
            leader,
            behind: false,
            before,
            stopped: BTreeSet::new(),
            found: FaultEffect::default(),
            touched: Vec::new(),
            problems: Vec::new(),
        };
        self.running.insert(i, running);
        let problems = self.apply(i, at_once).await;
        if !problems.is_empty() {
            record.outcome = FaultOutcome::Indeterminate;
            record.why = Some(summary(record.why.into_iter().chain(problems).collect()));
        }
        record.took_ms = self.ms_since(t);
        if plan::is_staged(&record.acts) {
            self.update_record(i, &mut record);
        }
        self.running.get_mut(&i).expect("it is put there above").record = record.clone();
        (self.record)(record);
    }

    /// Applies the acts that a step has at a later time, and records what is in force from then on.
    async fn shift(&mut self, i: usize, acts: Vec<TimedAct>) {
        let t = (self.clock)();
        // On an overloaded machine acts pile up, and would delay the next fault.
        let too_late = |running: &RunningStep| t >= running.ends().saturating_add(LATE_MAX.as_nanos() as u64);
        if self.running.get(&i).is_none_or(too_late) {
            return;
        }
        let is_down = |node| self.nodes.state(node) == NodeState::Down;
        let acts: Vec<TimedAct> =
            acts.into_iter().filter(|timed| !plan::is_pointless(timed.act, is_down)).collect();
        let problems = self.apply(i, acts.iter().map(|timed| timed.act).collect()).await;
        let took_ms = self.ms_since(t);
        let Some(running) = self.running.get_mut(&i) else { return };
        running.problems.extend(problems.iter().cloned());
        running.done.extend(&acts);
        let outcome = if problems.is_empty() { FaultOutcome::Installed } else { FaultOutcome::Indeterminate };
        let why = (!problems.is_empty()).then(|| summary(problems));
        let mut record =
            FaultRecord { t, took_ms, event: FaultEvent::Shift, outcome, why, ..running.record.clone() };
        self.update_record(i, &mut record);
        record.acts = acts;
        if let Some(running) = self.running.get_mut(&i) {
            running.remember(&record);
        }
        (self.record)(record);
    }

    /// Updates the record of a step with several times to what is in force now.
    fn update_record(&self, i: usize, record: &mut FaultRecord) {
        // A node that another fault holds down is not paused.
        let holds = |act: &Act| match (act.node(), act.spec().stops_as) {
            (Some(node), Some(state)) => self.nodes.state(node) == state,
            _ => true,
        };
        let now: Vec<TimedAct> = self.claims.of(i).filter(holds).map(TimedAct::from).collect();
        record.idle = now.is_empty();
        (record.nodes, record.cuts) = (plan::aimed_at(&now), plan::cuts(&now));
        let shown = if now.is_empty() { &record.acts } else { &now };
        record.label = plan::label(&record.fault, &record.kind, true, shown);
    }

    fn ms_since(&self, t: u64) -> u64 {
        (self.clock)().saturating_sub(t) / 1_000_000
    }

    /// Applies the acts that a step has at one time, and returns what went wrong.
    async fn apply(&mut self, i: usize, acts: Vec<Act>) -> Vec<String> {
        let mut wanted = Vec::new();
        for act in acts {
            match act.spec().reversal {
                Reversal::By(_) => {
                    self.claims.claim(i, act);
                    wanted.push(act);
                }
                Reversal::IsUndo => {
                    self.note_stopped(|claim| claim.fault == i && claim.act.undo() == Some(act));
                    wanted.extend(self.claims.give_up(i, act));
                }
                Reversal::Never => wanted.push(act),
            }
        }
        // A node that is about to be stopped may have been paused until now; this cannot be seen later.
        let downed: BTreeSet<NodeId> = wanted.iter().filter_map(|act| act.takes_down()).collect();
        self.note_stopped(|claim| claim.act.suspends().is_some_and(|node| downed.contains(&node)));
        // Acts on links are applied at once, acts on one node in order, and acts on different nodes
        // concurrently.
        let changes: Vec<_> = wanted.iter().filter_map(|act| act.link()).collect();
        let mut problems: Vec<String> = self.links.change(&changes).err().into_iter().collect();
        let mut by_node: BTreeMap<NodeId, Vec<Act>> = BTreeMap::new();
        for act in wanted {
            by_node.entry(act.node().unwrap_or(NodeId::CLIENTS)).or_default().push(act);
        }
        by_node.remove(&NodeId::CLIENTS);
        let (locks, down) = (&self.locks, &self.claims.down());
        let done = join_all(by_node.into_iter().map(|(node, acts)| async move {
            let mut all = Vec::new();
            for act in acts {
                let done = async { act.verb.apply(&mut locks.lock(node).await).await };
                let mut done = in_time(act, done).await;
                if let (Ok(done), true) = (&mut done, down.contains(&node)) {
                    // A node that another fault holds down has not died of its limits.
                    done.effect.nodes_died = 0;
                }
                all.push(done);
            }
            all
        }));
        for done in done.await.into_iter().flatten() {
            match (done, self.running.get_mut(&i)) {
                (Ok(done), Some(running)) => {
                    running.found += done.effect;
                    running.touched.extend(done.touched);
                }
                (Ok(_), None) => {}
                (Err(problem), _) => problems.push(problem),
            }
        }
        problems
    }

    /// Checks whether the nodes that some claims stop are stopped now, and notes it with their faults.
    fn note_stopped(&mut self, such: impl Fn(&Claim) -> bool) {
        for claim in self.claims.iter().filter(such) {
            let (Some(node), Some(state)) = (claim.act.node(), claim.act.spec().stops_as) else { continue };
            if let Some(running) = self.running.get_mut(&claim.fault)
                && self.nodes.state(node) == state
            {
                running.stopped.insert(node);
            }
        }
    }

    /// Undoes what is left of a step, and records its effect.
    async fn end(&mut self, i: usize) {
        // Its remaining events must not happen.
        self.timeline.drop_step(i);
        let undos = self.claims.undos_of(i);
        let began = (self.clock)();
        let problems = self.apply(i, undos).await;
        let Some(running) = self.running.remove(&i) else { return };
        let now = self.counted(&running.record.acts);
        let (counted, disks) = (now.0 - running.before.0, now.1 - running.before.1);
        let effect = FaultEffect {
            bytes_withheld: counted.bytes_withheld,
            connections_withheld: counted.connections_withheld,
            connections_refused: counted.connections_refused,
            bytes_degraded: counted.bytes_degraded,
            bits_flipped: counted.bits_flipped,
            packets_dropped: counted.packets_dropped,
            nodes_stopped: running.stopped.len() as u64,
            requests_troubled: disks.requests_troubled,
            bytes_lost: disks.bytes_lost,
            entries_lost: disks.entries_lost,
            files_damaged: disks.files_damaged,
            ..running.found
        };
        let mut record = running.record;
        record.acts = running.done;
        record.touched = running.touched;
        let all_problems: Vec<String> =
            running.problems.into_iter().chain(problems.iter().cloned()).collect();
        if !all_problems.is_empty() {
            record.outcome = FaultOutcome::Indeterminate;
            record.why = Some(summary(record.why.into_iter().chain(all_problems).collect()));
        }
        self.unhealed.extend(problems);
        record.event = FaultEvent::Heal;
        record.idle = false;
        record.effect = Some(effect);
        record.effective = Some(proves_effect(&effect, &record.acts));
        record.t = (self.clock)();
        record.took_ms = self.ms_since(began);
        (self.record)(record);
        self.wake(running.trigger);
        self.nodes.add_owed_members().await;
    }

    /// Counters of the links and disks that the acts change, and the number of refused connections to the
    /// nodes that they stop.
    fn counted(&self, acts: &[TimedAct]) -> (LinkCounters, DiskCounters) {
        let bad: BTreeSet<_> = plan::grudge(acts).cuts().chain(plan::degraded(acts).cuts()).collect();
        let mut links = self.links.sum(&bad);
        let stopped: BTreeSet<NodeId> = acts.iter().filter_map(|timed| timed.act.stops()).collect();
        let peers = (0..self.links.nodes()).map(NodeId);
        let to_stopped = peers.flat_map(|from| stopped.iter().map(move |&to| (from, to)));
        let others: BTreeSet<_> = to_stopped.filter(|link| link.0 != link.1 && !bad.contains(link)).collect();
        if !others.is_empty() {
            links.connections_refused += self.links.sum(&others).connections_refused;
        }
        let mut disks = DiskCounters::default();
        for node in acts.iter().filter_map(|timed| timed.act.disk()).collect::<BTreeSet<_>>() {
            disks += self.nodes.disk_counters(node);
        }
        (links, disks)
    }
}
