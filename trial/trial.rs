//! One trial from top to bottom: start, drive, heal, final reads, stop, check, report.

use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow};
use nix::sys::signal::Signal;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tribunal_nemesis::{Links, NodeId};
#[cfg(not(feature = "box"))]
use tribunal_records::features::left_out;
use tribunal_records::oracles::Oracle;
use tribunal_records::{Net, TrialSpec};
use tribunal_reports::judgement::Circumstances;
use tribunal_reports::run_dir::RunDir;
use tribunal_reports::run_info::{Ending, FinalReads, OutsideConnections, RunInfo};
use tribunal_reports::wording::counted;
use tribunal_systems::{System, Wiring};
use tribunal_workloads::Options;

use crate::announcer::Announcer;
#[cfg(feature = "box")]
use crate::boxed;
use crate::catch_panic::catch_panic;
use crate::clock::Clock;
use crate::closing::Closing;
use crate::cluster::disks::DiskRequest;
use crate::cluster::guard::Guard;
use crate::cluster::namespaces::{self, Namespaces};
use crate::cluster::{Cluster, Death, Network};
use crate::controller::Controller;
use crate::controller::pace::Pace;
use crate::controller::recorder::Recorder;
use crate::controller_log::ControllerLog;
use crate::converging;
use crate::error::TrialError;
use crate::executable;
use crate::failure::Failures;
use crate::faults::Faults;
use crate::journal::Journal;
use crate::judge::{self, Checking};
use crate::junit::Junit;
use crate::leaders::LeaderLog;
use crate::limits::CheckLimits;
use crate::observer::{self, NodeStatus, Observer, Status, TrialEvent};
use crate::oracles::{self, Oracles, ReplicaWatch};
use crate::panics::{self, run_phase};
use crate::plan::Plan;
use crate::record::RunRecord;
use crate::recovery::await_recovery;
use crate::registry::{Registry, RunModel};
use crate::rlimits::{self, RunSize};
use crate::stop::Stop;
use crate::store::Store;
use crate::watch::{self, Watch};

/// Time limit for the cluster to recover and answer the reads of one key, after a violation was found.
const READ_AGAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Interval of status events.
const TICK: Duration = Duration::from_millis(100);

/// Runs a trial that is described by plain data.
pub trait Run {
    /// Checks everything that is known before the start: names, ranges, files, and whether the requested faults
    /// are possible. Starts nothing.
    ///
    /// # Errors
    /// What is wrong, by the names of the flags.
    fn ensure_possible(&self, registry: &Registry) -> Result<(), TrialError>;

    /// Runs the trial: starts the nodes, drives the clients, injects the faults, checks the history and
    /// writes the reports. Blocks until the end; uses threads of its own. Several trials may run in one
    /// process. (CAVEAT: daemons that clear their environment cannot be assigned to one of them; the trial
    /// that ends first kills them.)
    ///
    /// # Errors
    /// When the spec is invalid, the trial cannot be started, or its verdict cannot be stored. A harness
    /// failure during the run is not an error: the judgement reports it.
    fn run(
        &self,
        registry: &Registry,
        observer: &Arc<dyn Observer>,
        stop: &Stop,
    ) -> Result<RunDir, TrialError>;
}

impl Run for TrialSpec {
    fn ensure_possible(&self, registry: &Registry) -> Result<(), TrialError> {
        Plan::of(self, registry).map(drop).map_err(TrialError::spec)
    }

    fn run(
        &self,
        registry: &Registry,
        observer: &Arc<dyn Observer>,
        stop: &Stop,
    ) -> Result<RunDir, TrialError> {
        #[cfg(feature = "box")]
        let held = match self.boxed {
            true => boxed::run(self, registry, observer, stop),
            false => run_trial(self, registry, observer, stop, judge_recorded),
        };
        #[cfg(not(feature = "box"))]
        let held = match self.boxed {
            true => Err(TrialError::Spec(left_out("box"))),
            false => run_trial(self, registry, observer, stop, judge_recorded),
        };
        match &held {
            Ok(run) => observer.on_event(0, &TrialEvent::Judged(run)),
            Err(error) => observer.on_event(0, &TrialEvent::Failed(&error.to_string())),
        }
        held
    }
}

/// What a trial leaves for its judge.
pub(crate) struct Recorded {
    pub(crate) store: Store,
    info: RunInfo,
    circumstances: Circumstances,
    announcer: Arc<Announcer>,
    /// How often the user had interrupted the trial.
    interrupts: usize,
}

/// Judges what was recorded.
fn judge_recorded(recorded: Recorded, plan: &Plan, stop: &Stop) -> Result<RunDir, TrialError> {
    let Recorded { mut store, info, circumstances, announcer, interrupts } = recorded;
    let check = Checking {
        model: &plan.model,
        limits: CheckLimits::from(&plan.spec),
        gives_up: &|| stop.gives_up(interrupts),
        reports: true,
    };
    judge::judge(&mut store, &check, info, circumstances, &announcer)
}

/// Runs a trial until everything is recorded, and then does `then` with it.
pub(crate) fn run_trial<T: Send>(
    spec: &TrialSpec,
    registry: &Registry,
    observer: &Arc<dyn Observer>,
    stop: &Stop,
    then: impl FnOnce(Recorded, &Plan, &Stop) -> Result<T, TrialError> + Send,
) -> Result<T, TrialError> {
    // No process can be started without /proc; that is not an error of the spec.
    executable::path().map_err(TrialError::harness)?;
    let plan = Plan::of(spec, registry).map_err(TrialError::spec)?;
    plan.warnings.iter().for_each(|warning| observer.on_event(0, &TrialEvent::Warning(warning)));
    // A runtime cannot be started within another one, and its threads inherit the namespace of the thread
    // that starts it.
    let run_on_thread = || {
        namespaces::enter(plan.spec.net).map_err(TrialError::harness)?;
        let trial = Arc::new(Failures::new(stop.token().child_token()));
        panics::register_thread(&trial);
        let runtime = runtime(&plan, &trial).map_err(TrialError::harness)?;
        let run = async { then(Trial::run(&plan, observer, stop, trial).await?, &plan, stop) };
        let held = catch_panic(|| runtime.block_on(run));
        held.unwrap_or_else(|error| Err(TrialError::harness(error)))
    };
    thread::scope(|scope| {
        let held = thread::Builder::new().name("tribunal-trial".into()).spawn_scoped(scope, run_on_thread);
        let held = held.context("cannot start a thread").map_err(TrialError::harness)?;
        held.join().expect("it catches its panics")
    })
}

/// Starts the runtime, after checking that this machine provides what the run needs.
///
/// # Errors
/// What it does not provide.
fn runtime(plan: &Plan, trial: &Arc<Failures>) -> Result<tokio::runtime::Runtime> {
    let size = RunSize {
        nodes: usize::from(plan.spec.nodes),
        clients: plan.workers,
        net: plan.spec.net,
        wiring: plan.wiring,
        clients_proxied: plan.nemesis.cuts_off_clients(),
    };
    size.ensure_files()?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    rlimits::ensure_threads(cores + SPARE_THREADS)?;
    let trial = trial.clone();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(cores).thread_keep_alive(Duration::MAX).enable_all();
    let runtime = runtime.on_thread_start(move || panics::register_thread(&trial));
    let runtime = runtime.build().context("cannot start the runtime")?;
    // Start one blocking thread now: blocking tasks are queued for it if no more threads can be started
    // later.
    drop(runtime.spawn_blocking(|| ()));
    Ok(runtime)
}

/// Number of threads of a run besides the workers of the runtime: for blocking tasks, the proxies, the
/// spawner, the live check, and three per node for a few nodes.
const SPARE_THREADS: usize = 8;

/// A running trial.
struct Trial<'a> {
    plan: &'a Plan,
    announcer: Arc<Announcer>,
    /// Cancelled once: end the run in order.
    stop: CancellationToken,
    stop_request: &'a Stop,
    failures: Arc<Failures>,
    /// Whether only the check remains to be done.
    checking: Arc<AtomicBool>,
    record: RunRecord,
    cluster: Arc<Cluster>,
    links: Arc<Links>,
    controller: Arc<Controller>,
    faults: Arc<Faults>,
    oracles: Arc<Oracles>,
    /// Compares what the nodes applied, if they say it.
    replica_watch: Option<Arc<ReplicaWatch>>,
    /// The live check, if there is one.
    live_check: Option<Arc<watch::LiveCheck>>,
    /// The journal of the links, if there are proxies.
    journal: Option<Journal>,
    leaders: LeaderLog,
}

impl<'a> Trial<'a> {
    /// Runs the whole trial, except its judgement.
    async fn run(
        plan: &'a Plan,
        observer: &Arc<dyn Observer>,
        stop: &'a Stop,
        failures: Arc<Failures>,
    ) -> Result<Recorded, TrialError> {
        let started = SystemTime::now();
        let system = plan.switches().and_then(|it| Ok(plan.system.make(&it)?)).map_err(TrialError::spec)?;
        let checked = system.check_client().await;
        checked.map_err(|breach| TrialError::spec(anyhow!("--system {}: {breach}", plan.spec.system)))?;
        let store = Store::create(&plan.spec.store, &plan.spec.workload, plan.seed(), started);
        let store = store.map_err(TrialError::harness)?;
        let trial = Trial::open(plan, system, observer, stop, failures, &store, started).await;
        let mut trial = trial.map_err(TrialError::harness)?;

        panics::register_trial(&trial.failures);
        run_phase(trial.start()).await;
        run_phase(trial.drive()).await;
        run_phase(trial.heal()).await;
        run_phase(trial.final_reads()).await;
        run_phase(trial.stop()).await;

        let announcer = trial.announcer.clone();
        trial.checking.store(true, Ordering::Relaxed);
        let interrupts = stop.count();
        let (info, circumstances) = trial.close(interrupts);
        Ok(Recorded { store, info, circumstances, announcer, interrupts })
    }

    /// Opens everything that can fail because of this machine, before the first process is started.
    async fn open(
        plan: &'a Plan,
        system: Box<dyn System>,
        observer: &Arc<dyn Observer>,
        stop_request: &'a Stop,
        failures: Arc<Failures>,
        store: &Store,
        started: SystemTime,
    ) -> Result<Self> {
        let (spec, clock, stop) = (&plan.spec, Clock::start(), failures.stop().clone());
        let log = ControllerLog::create(&store.path().join("controller.log"));
        let mut observers: Vec<Arc<dyn Observer>> = vec![observer.clone(), Arc::new(log)];
        observers.extend(Junit::open(&store.path().join("junit.xml"), spec).ok().map(|it| Arc::new(it) as _));
        let announcer = Arc::new(Announcer::new(clock, observers));
        let checking = Arc::new(AtomicBool::new(false));
        watch_interrupts(stop_request, checking.clone(), announcer.clone());

        let watch = match plan.model {
            RunModel::BuiltIn(model) if !spec.no_fail_fast => {
                Some(Watch::start(model, stop.clone(), announcer.clone()))
            }
            _ => None,
        };
        let watch = watch.transpose().context("cannot start the live check")?;
        let live_check = watch.as_ref().map(Watch::progress);
        let recorder = Recorder::create(&store.path().join("history.jsonl"), clock, watch, announcer.clone());
        let recorder = Arc::new(recorder.context("cannot create history.jsonl")?);
        let oracles = Oracles::new(spec, clock, announcer.clone(), stop.clone())?;
        let faults =
            Faults::create(&store.path().join("faults.jsonl"), clock, announcer.clone(), oracles.clone())?;

        if !system.drawn().is_empty() {
            announcer.note(&format!("drawn by the seed: {}", system.drawn().join(" ")));
        }
        let nodes = usize::from(spec.nodes);
        let namespaces = (spec.net != Net::Proxy).then(|| Namespaces::make(nodes)).transpose()?;
        let addresses = namespaces.as_ref().map(Namespaces::addresses).unwrap_or_default();
        let links = match (spec.net, system.wiring()) {
            (Net::Proxy, Wiring::AddressMap) => Links::open(nodes).map_err(anyhow::Error::from),
            (Net::Proxy, Wiring::Attributed) => Links::open_attributed(nodes).map_err(anyhow::Error::from),
            // The plan never combines a proxy that nodes are told of with such a wiring.
            (Net::Transparent, _) | (Net::Proxy, Wiring::Transparent) => {
                Links::open_transparent(&addresses).map_err(anyhow::Error::from)
            }
            (Net::Netns, _) | (Net::Proxy, Wiring::Netns) => {
                Links::open_filtered(&addresses).map_err(anyhow::Error::from)
            }
        };
        let links = Arc::new(links.context("cannot open the links")?);
        let (deaths, death_notices) = mpsc::unbounded_channel();
        let disks =
            DiskRequest { kind: spec.disk, needed: plan.nemesis.needs_disks(), bytes: spec.disk_size.0 };
        let network = Network {
            links: &links,
            namespaces: namespaces.as_ref(),
            clients_proxied: plan.nemesis.cuts_off_clients(),
        };
        let guard = Arc::new(Guard::start(deaths).context("cannot start the guard")?);
        let cluster = Cluster::lay_out(system, &network, store.path(), clock, guard, &disks, &failures)?;
        let cluster = Arc::new(cluster);
        spec.trace.iter().for_each(|node| cluster.trace(node));
        cluster.prepare().await?;
        watch_fatal_lines(&cluster, oracles.clone());
        watch_deaths(death_notices, &cluster, failures.clone(), oracles.clone());
        let replica_watch = ReplicaWatch::new(&cluster, &oracles);
        replica_watch.iter().for_each(|watch| cluster.look_before_kills(watch));
        watch_links(&links, failures.clone());

        let workload = (plan.workload.make)(&Options {
            seed: plan.seed(),
            workers: plan.workers,
            nodes,
            keys: spec.keys,
            ops_per_key: spec.ops_per_key,
            reads: plan.reads,
            answers: plan.system.answers,
        });
        let pace = Pace::new(spec.rate, plan.seed(), spec.time_limit);
        let controller =
            Controller::new(cluster.clone(), recorder, workload, plan.workers, pace, spec.op_timeout);
        let journal = (spec.net != Net::Netns)
            .then(|| Journal::begin(&store.path().join("links.jsonl"), links.clone(), clock))
            .transpose()
            .context("cannot create links.jsonl")?;
        let leaders = LeaderLog::create(&store.path().join("leaders.jsonl"), clock)?;
        let record = RunRecord::new(plan, &cluster, started, clock, store.path());
        record.save()?;
        announcer.emit(&TrialEvent::Opened(&record.info, &store.typed_path().with_extension("")));
        let faults = Arc::new(faults);
        Ok(Trial {
            plan,
            announcer,
            stop,
            stop_request,
            failures,
            checking,
            record,
            cluster,
            links,
            controller,
            faults,
            oracles,
            replica_watch,
            live_check,
            journal,
            leaders,
        })
    }

    async fn start(&mut self) {
        self.phase("starting");
        if let Err(error) = self.cluster.start_all() {
            self.failures.raise("cluster", error);
        }
        if !self.stop.is_cancelled() {
            let set_up = tokio::select! {
                set_up = self.cluster.set_up() => set_up,
                () = self.stop.cancelled() => Ok(()),
            };
            if let Err(error) = set_up {
                self.failures.raise("cluster", error);
            }
        }
        self.await_answers().await;
        if !self.stop.is_cancelled() {
            tokio::select! { () = sleep(self.cluster.system.warm_up()) => {}, () = self.stop.cancelled() => {} }
        }
        let first = &self.cluster.nodes[0].place;
        self.record.info.system_version = self.cluster.system.version(first).await;
        self.check_bypasses();
        self.check_listeners().await;
    }

    /// Fails the run if a connection between nodes bypasses the proxies: it would cross every partition, and
    /// the run would prove nothing.
    fn check_bypasses(&self) {
        if self.stop.is_cancelled() {
            return;
        }
        let bypasses = match self.links.bypasses() {
            Ok(bypasses) => bypasses,
            Err(error) => return self.failures.raise("links", format!("cannot look at sockets: {error}")),
        };
        if !bypasses.is_empty() {
            let named: Vec<String> = bypasses.iter().map(ToString::to_string).collect();
            let what = "connections between nodes bypass their proxies, and would cross every cut";
            self.failures.raise("links", format!("{what}: {}", named.join("; ")));
        }
    }

    /// Checks that the processes that listen on the nodes' ports are the nodes.
    async fn check_listeners(&self) {
        if !self.stop.is_cancelled()
            && let Some(listener) = self.cluster.foreign_listeners().await.into_iter().next()
        {
            self.failures.raise("links", listener);
        }
    }

    /// Runs clients and nemesis concurrently, until the time is up or the run is stopped.
    async fn drive(&mut self) {
        if self.stop.is_cancelled() {
            return;
        }
        let began_ns = self.phase("running");
        let end = self.stop.child_token();
        let time_is_up = async {
            let limit = Instant::now() + self.plan.spec.time_limit;
            tokio::select! { () = sleep_until(limit) => end.cancel(), () = end.cancelled() => {} }
        };
        let clients = async {
            if let Err(error) = self.controller.drive(&end).await {
                self.failures.raise("recorder", error);
            }
        };
        let nemesis = async {
            let recorder = &self.controller.recorder;
            let plan = self.plan.nemesis.plan_from(began_ns / 1_000_000);
            let drive = self.faults.drive(plan, &self.cluster, &self.links, recorder, &end);
            if let Err(error) = drive.await {
                self.failures.raise("nemesis", error);
            }
        };
        let begun = Instant::now();
        let leading = async {
            tokio::select! { () = self.leaders.watch(&self.cluster) => {}, () = end.cancelled() => {} }
        };
        let ticking = async {
            while !end.is_cancelled() {
                let leader = self.leaders.current();
                self.announcer.emit(&TrialEvent::Status(self.status(begun.elapsed(), leader)));
                sleep(TICK).await;
            }
        };
        let comparing = async {
            if let Some(watch) = &self.replica_watch {
                watch.watch(&end).await;
            }
        };
        tokio::join!(time_is_up, clients, nemesis, leading, ticking, comparing);
    }

    /// Progress of the run, for the terminal.
    fn status(&self, elapsed: Duration, leader: Option<(NodeId, u64)>) -> Status {
        let cluster = &self.cluster;
        let nodes = cluster.nodes.iter().enumerate().map(|(i, node)| NodeStatus {
            name: node.place.name.clone(),
            state: node.state(),
            restarts: node.restarts(),
            leads: leader.filter(|(leader, _)| leader.0 == i).map(|(_, term)| term),
        });
        Status {
            elapsed,
            limit: self.plan.spec.time_limit,
            tally: self.controller.recorder.tally(),
            nodes: nodes.collect(),
            faults: self.faults.active(),
            next_fault: self.faults.next(),
            check: self
                .live_check
                .as_ref()
                .map_or(observer::CheckState::Off, |live_check| live_check.state()),
        }
    }

    /// Waits for the cluster to recover; the nemesis has already undone its faults.
    async fn heal(&mut self) {
        self.phase("healing");
        if let Err(error) = self.faults.heal_everything(&self.cluster, &self.links).await {
            self.failures.raise("nemesis", error);
        }
        self.recover().await;
        self.check_bypasses();
        self.check_listeners().await;
        self.read_again().await;
    }

    /// Waits for the cluster to serve again.
    async fn recover(&self) {
        if self.stop.is_cancelled() {
            return;
        }
        if !self.oracles.is_on(Oracle::Recovery) {
            return self.await_answers().await;
        }
        let limit = self.plan.spec.recovery_limit;
        if let Err(error) = await_recovery(&self.controller, &self.oracles, limit, &self.stop).await {
            self.failures.raise("recorder", error);
        }
    }

    /// After a violation that ended the run, reads its key again from every node: only later answers
    /// distinguish a lost value from a stale one. The reads are optional.
    async fn read_again(&mut self) {
        let seen = self.live_check.as_ref().and_then(|live_check| live_check.violation().cloned());
        self.record.info.seen_live.clone_from(&seen);
        let Some(seen) = seen.filter(|_| !self.plan.model.is_eventual() && self.failures.first().is_none())
        else {
            return;
        };
        self.phase("reading again");
        let stop = CancellationToken::new();
        let (stop_request, limit) = (self.stop_request, Instant::now() + READ_AGAIN_TIMEOUT);
        let reading = async {
            match self.cluster.ready(READ_AGAIN_TIMEOUT).await {
                Ok(()) => self.controller.read_again(&seen.key, &stop).await.map(FinalReads::all_answered),
                Err(_) => Ok(false),
            }
        };
        let time_is_up = async {
            while stop_request.count() == 0 && Instant::now() < limit {
                sleep(TICK).await;
            }
        };
        let answered = tokio::select! { read = reading => read, () = time_is_up => Ok(false) };
        match answered {
            Ok(true) => {}
            Ok(false) => {
                self.announcer.note("the key of the violation could not be read again from every node")
            }
            Err(error) => self.failures.raise("recorder", error),
        }
    }

    async fn await_answers(&self) {
        if self.stop.is_cancelled() {
            return;
        }
        let ready = tokio::select! {
            ready = self.cluster.ready(self.cluster.system.start_limit()) => ready,
            () = self.stop.cancelled() => Ok(()),
        };
        if let Err(error) = ready {
            self.failures.raise("cluster", error);
        }
    }

    async fn final_reads(&mut self) {
        if self.stop.is_cancelled() {
            return;
        }
        let everywhere = self.plan.model.is_eventual();
        if everywhere {
            self.phase("converging");
            match converging::await_settled(&self.controller, self.plan.spec.settle, &self.stop).await {
                Ok(Ok(())) => {}
                Ok(Err(waited)) => {
                    self.announcer.note(
                        "the nodes have not settled: their state still changes, or they get no processor time",
                    );
                    self.record.info.unsettled_ms = Some(waited.as_millis() as u64);
                    return;
                }
                Err(error) => return self.failures.raise("recorder", error),
            }
        }
        self.phase("final reads");
        match self.controller.final_reads(everywhere, &self.stop).await {
            Ok(reads) => {
                if !reads.all_answered() {
                    let FinalReads { asked, answered } = reads;
                    self.announcer
                        .note(&format!("{} of {asked} final reads were not answered", asked - answered));
                }
                self.record.info.final_reads = Some(reads);
                if !everywhere && reads.all_answered() {
                    self.read_under_each_leader().await;
                }
            }
            Err(error) => self.failures.raise("recorder", error),
        }
    }

    /// Sends the final reads again under other leaders, if this run may cut links, for at most a third of its
    /// time. These reads are optional.
    async fn read_under_each_leader(&mut self) {
        let Plan { spec, nemesis, .. } = &self.plan;
        if !nemesis.names().contains(&"partition".to_owned()) || self.cluster.nodes.len() < 3 {
            return;
        }
        let until = Instant::now() + spec.time_limit / 3;
        self.phase("final reads under each leader");
        let Trial { cluster, links, stop, controller, .. } = &*self;
        let closing = Closing { cluster, links, until, stop };
        let read = async || controller.final_reads(false, stop).await.map(drop);
        match closing.read_under_each_leader(read).await {
            Ok(led) => {
                self.record.info.led =
                    led.iter().map(|node| self.cluster.nodes[node.0].place.name.clone()).collect();
            }
            Err(error) => self.failures.raise("recorder", error),
        }
    }

    async fn stop(&mut self) {
        // All is quiet now, so every node soon shows everything.
        if let Some(watch) = &self.replica_watch {
            watch.look().await;
        }
        if let Some((connections, first)) = self.links.outside_connections() {
            let counted = counted(usize::try_from(connections).unwrap_or(usize::MAX), "connection");
            self.announcer
                .note(&format!("{counted} from outside the cluster bypassed the partitions: {first}"));
            self.record.info.strangers = Some(OutsideConnections { connections, first });
        }
        self.phase("stopping");
        if let Err(error) = self.cluster.stop().await {
            self.failures.raise("cluster", error);
        }
        if let Some(journal) = self.journal.take()
            && let Err(error) = journal.end().await
        {
            self.announcer.note(&format!("links.jsonl is incomplete: {error}"));
        }
        self.record.end();
    }

    /// Writes the last files of the run, and returns what the judgement needs besides the history.
    fn close(mut self, interrupts: usize) -> (RunInfo, Circumstances) {
        let interrupted = interrupts > 0;
        let restarts: usize = self.cluster.nodes.iter().map(|node| node.restarts()).sum();
        self.oracles.looked(Oracle::Restart, restarts as u64, "restarts");
        self.record.info.never = self.never(restarts);
        (self.record.info.findings, self.record.info.oracles) = self.oracles.record();
        self.record.info.ending = Some(Ending {
            events: self.controller.recorder.events(),
            fault_lines: self.faults.lines(),
            interrupted,
            harness_failure: self.failures.first(),
        });
        if let Err(error) = self.record.save() {
            self.failures.raise("store", error);
        }
        let harness_failure = self.failures.first();
        (self.record.info, Circumstances { harness_failure, interrupted, ..Circumstances::default() })
    }

    /// What never happened, of what most bugs need, as far as this system can tell.
    fn never(&self, restarts: usize) -> Vec<String> {
        let has_snapshots = self.replica_watch.as_ref().is_none_or(|watch| watch.has_installed());
        let leaders = self.leaders.count();
        let all = [
            (restarts == 0, "no node was restarted"),
            (leaders == 1, "the leader never changed"),
            (!has_snapshots, "no snapshot was installed"),
        ];
        all.into_iter().filter(|(never, _)| *never).map(|(_, what)| what.to_owned()).collect()
    }

    /// Begins a phase. Returns the time, in nanoseconds since the start of the run.
    fn phase(&mut self, name: &str) -> u64 {
        // Saved with the phase, so that a killed controller leaves what was found until then.
        (self.record.info.findings, self.record.info.oracles) = self.oracles.record();
        let start_ns = self.record.begin_phase(name);
        self.announcer.emit(&TrialEvent::Phase(name));
        start_ns
    }
}

/// Reports what an interrupt ends.
fn watch_interrupts(stop_request: &Stop, checking: Arc<AtomicBool>, announcer: Arc<Announcer>) {
    let mut interrupts = stop_request.interrupts();
    tokio::spawn(async move {
        while interrupts.changed().await.is_ok() {
            let again = *interrupts.borrow_and_update() > 1;
            announcer.note(match again || checking.load(Ordering::Relaxed) {
                true => "interrupted: the check stops",
                false => "interrupted: healing, stopping, checking the history so far",
            });
        }
    });
}

/// An error on our side while connecting to a node is a harness failure.
fn watch_links(links: &Links, failures: Arc<Failures>) {
    let failure = links.harness_failure();
    tokio::spawn(async move { failures.raise("links", failure.await) });
}

/// The oracle `log`: reports the first line of each node that a correct node never writes.
fn watch_fatal_lines(cluster: &Arc<Cluster>, oracles: Arc<Oracles>) {
    let mut lines = cluster.fatal_lines(oracles::is_fatal_line);
    oracles.looked(Oracle::Log, cluster.nodes.len() as u64, "logs watched");
    tokio::spawn(async move {
        while let Some((node, line)) = lines.recv().await {
            let sentence = format!("{node} logged a line that no correct node logs: {line}");
            oracles.find(Oracle::Log, &[&node.to_string()], sentence, Vec::new(), None);
        }
    });
}

/// The oracles `crash` and `restart`: a node that ends by itself. Before it has answered for the first time,
/// that is a harness failure: there was no system to test.
fn watch_deaths(
    mut deaths: mpsc::UnboundedReceiver<Death>,
    cluster: &Arc<Cluster>,
    failures: Arc<Failures>,
    oracles: Arc<Oracles>,
) {
    oracles.looked(Oracle::Crash, cluster.nodes.len() as u64, "nodes watched");
    let cluster = Arc::downgrade(cluster);
    tokio::spawn(async move {
        while let Some(death) = deaths.recv().await {
            let Death { node, status, excused, had_answered, had_ever_answered, last_words } = &death;
            // Perhaps the node died because its port was taken.
            let foreign = match cluster.upgrade() {
                Some(cluster) if !excused => cluster.foreign_listeners().await,
                _ => Vec::new(),
            };
            let is_interference = !*excused && status.signal().is_some_and(is_from_outside);
            let oracle = match (*had_answered, *had_ever_answered) {
                _ if !foreign.is_empty() || is_interference => None,
                (true, _) => Some(Oracle::Crash),
                (false, true) => Some(Oracle::Restart),
                // A fault may hit a node before it answers.
                (false, false) => excused.then_some(Oracle::Crash),
            };
            let Some(oracle) = oracle.filter(|oracle| oracles.is_on(*oracle) || *excused) else {
                let foreign: String = foreign.iter().map(|who| format!("; {who}")).collect();
                failures.raise("cluster", death.said(&foreign));
                continue;
            };
            let sentence = match oracle {
                Oracle::Restart => format!("{node} did not start again on its own data: {status}"),
                _ => format!("{node} crashed: {status}"),
            };
            let excuse = excused.then(|| "a fault on this node".to_owned());
            let evidence = last_words.lines().map(str::to_owned).collect();
            oracles.find(oracle, &[node], sentence, evidence, excuse);
        }
    });
}

/// Whether a process gets this signal only from others: a person, the kernel when memory runs out, or a limit
/// of the user who started Tribunal.
fn is_from_outside(signal: i32) -> bool {
    let from_outside = [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGXCPU];
    from_outside.iter().chain([&Signal::SIGXFSZ]).any(|outside| *outside as i32 == signal)
}
