//! One run, told top to bottom: start, drive, heal, final reads, stop, check, report.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tribunal_checker::model::ModelKind;
use tribunal_nemesis::Links;
use tribunal_reports::judgement::Circumstances;
use tribunal_reports::run_info::{Ending, FinalReads, RunInfo, Strangers};
use tribunal_reports::wording::counted;
use tribunal_systems::{Direct, Place, Switches, System, Wiring};
use tribunal_workloads::Options;

use crate::cli::{Cli, Net, RunArgs};
use crate::clock::Clock;
use crate::cluster::disks::Wish;
use crate::cluster::namespaces::{self, Namespaces};
use crate::cluster::{Cluster, Death, Network};
use crate::controller::Controller;
use crate::controller::pace::Pace;
use crate::controller::recorder::Recorder;
use crate::converging;
use crate::exit;
use crate::failure::Failures;
use crate::faults::{Faults, Nemesis};
use crate::interrupts::Interrupts;
use crate::journal::Journal;
use crate::judge;
use crate::junit::Junit;
use crate::limits::GIVE_UP;
use crate::live::status::{Check, NodeNow, Status};
use crate::live::{Live, TICK, keyboard};
use crate::own;
use crate::panics::{self, caught, survived};
use crate::record::RunRecord;
use crate::rlimits::{self, Size};
use crate::store::Store;
use crate::watch::{self, Watch};

/// How long a cluster may take to come back and to answer the reads of one key, once a violation was found.
const READ_AGAIN_MAX: Duration = Duration::from_secs(5);
/// How long a cluster may take to answer, at the start and after everything is healed.
const READY_PATIENCE: Duration = Duration::from_secs(30);

/// `tribunal run`: puts a system on trial and exits with the verdict.
pub(crate) fn run(args: &RunArgs) -> ExitCode {
    // Nothing can be started without /proc, and that is no fault of the arguments.
    if let Err(error) = own::path() {
        return exit::harness(error);
    }
    let plan = match Plan::of(args) {
        Ok(plan) => plan,
        Err(error) => return exit::usage(error),
    };
    let mut junit = match Junit::open(&plan) {
        Ok(junit) => junit,
        Err(error) => return exit::usage(error),
    };
    // Before the runtime starts the first thread.
    if args.net != Net::Proxy
        && let Err(error) = namespaces::enter()
    {
        return exit::harness(error.context(format!("--net {}", args.net)));
    }
    let runtime = match runtime(&plan) {
        Ok(runtime) => runtime,
        Err(error) => {
            junit.broke(&error);
            return exit::harness(error);
        }
    };
    match caught(|| runtime.block_on(Trial::hold(&plan, &mut junit))).and_then(|held| held) {
        Ok(code) => code,
        Err(error) => {
            junit.broke(&error);
            exit::harness(error)
        }
    }
}

/// The threads that carry a run, if this machine grants what the run needs.
///
/// # Errors
/// What it does not grant.
fn runtime(plan: &Plan) -> Result<tokio::runtime::Runtime> {
    let size = Size {
        nodes: usize::from(plan.args.nodes),
        clients: plan.workers,
        net: plan.args.net,
        wiring: plan.wiring,
        clients_apart: plan.nemesis.parts_clients(),
    };
    size.ensure_files()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    rlimits::ensure_threads(cores + SPARE_THREADS)?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(cores).thread_keep_alive(Duration::MAX).enable_all();
    let runtime = runtime.build().context("cannot start the runtime")?;
    // One thread for what blocks is there from the beginning: what is to be done waits for it when no other can be had.
    drop(runtime.spawn_blocking(|| ()));
    Ok(runtime)
}

/// The threads of a run beside those of the runtime: for what blocks, the proxies, the spawner, the check beside the run, and
/// three for each of a few nodes.
const SPARE_THREADS: usize = 8;

/// What the arguments amount to: every name looked up, every choice made, nothing done yet.
pub(crate) struct Plan {
    pub(crate) args: RunArgs,
    pub(crate) seed: u64,
    pub(crate) workers: usize,
    pub(crate) workload: &'static tribunal_workloads::Entry,
    pub(crate) model: ModelKind,
    pub(crate) system: &'static tribunal_systems::Entry,
    /// The share of reads, where the workload reads and writes.
    pub(crate) reads: f64,
    pub(crate) nemesis: Nemesis,
    wiring: Wiring,
}

impl Plan {
    fn of(args: &RunArgs) -> Result<Self> {
        let nodes = usize::from(args.nodes);
        let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u16>()));
        let workload = lookup("workload", &args.workload, tribunal_workloads::WORKLOADS, |entry| entry.name)?;
        let system = lookup("system", &args.system, tribunal_systems::SYSTEMS, |entry| entry.name)?;
        let model = model(workload, args.model)?;
        system.fits(workload, model.name())?;
        let made = (system.make)(&switches(args)?)?;
        try_node_command(&*made)?;
        Ok(Plan {
            args: args.clone(),
            seed,
            workers: args.concurrency.workers(nodes),
            workload,
            model,
            system,
            reads: reads(workload, args.reads)?,
            nemesis: Nemesis::of(args, seed)?,
            wiring: made.wiring(),
        })
    }
}

/// The share of reads: the workload's own, or another one if it reads at all.
fn reads(workload: &tribunal_workloads::Entry, wanted: Option<f64>) -> Result<f64> {
    if wanted.is_some() && workload.reads.is_none() {
        bail!("--reads does not fit the workload {}, which reads only in the end", workload.name);
    }
    Ok(wanted.or(workload.reads).unwrap_or_default())
}

/// What judges the run: the workload's own model, or another one that fits it.
fn model(workload: &tribunal_workloads::Entry, wanted: Option<ModelKind>) -> Result<ModelKind> {
    let Some(wanted) = wanted else { return Ok(workload.model.parse()?) };
    if workload.models().all(|model| model != wanted.name()) {
        let fitting: Vec<_> = workload.models().collect();
        bail!("{} cannot be judged by the model {wanted}: expected {}", workload.name, fitting.join(" or "));
    }
    Ok(wanted)
}

fn switches(args: &RunArgs) -> Result<Switches> {
    Ok(Switches {
        tribunal: own::path()?.to_owned(),
        bugs: args.bugs.clone(),
        node_args: args.node_args.clone(),
    })
}

/// Reads the command line that a node of a built-in system would get, so that a wrong `--bug` or `--node-arg` is
/// the user's error at once and not the death of a node later.
fn try_node_command(system: &dyn System) -> Result<()> {
    let address = || SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let addresses = system.ports().iter().map(|_| address()).collect();
    let place = Place {
        name: "n1".into(),
        addresses,
        advertised: address(),
        peers: vec![("n2".into(), address())],
        data: "data".into(),
        dial: Arc::new(Direct),
    };
    let command = system.command(&place);
    if command.program != own::path()? {
        return Ok(());
    }
    match Cli::try_parse_from(std::iter::once(command.program).chain(command.args)) {
        Ok(_) => Ok(()),
        Err(error) => {
            let text = error.render().to_string();
            let lines = text
                .lines()
                .map(str::trim)
                .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
            bail!(
                "{}",
                lines
                    .filter(|line| !line.is_empty())
                    .collect::<Vec<_>>()
                    .join(" ")
                    .replacen("error: ", "", 1)
            )
        }
    }
}

/// The entry of that name, or an error that lists the names there are.
fn lookup<T>(
    what: &str,
    name: &str,
    all: &'static [T],
    name_of: fn(&T) -> &'static str,
) -> Result<&'static T> {
    let names = || all.iter().map(name_of).collect::<Vec<_>>().join(", ");
    all.iter()
        .find(|entry| name_of(entry) == name)
        .with_context(|| format!("there is no {what} `{name}`: expected one of {}", names()))
}

/// A run under way.
struct Trial<'a> {
    plan: &'a Plan,
    junit: &'a Junit,
    live: Arc<Live>,
    /// Told once: wind down in order.
    stop: CancellationToken,
    failures: Arc<Failures>,
    interrupted: Arc<AtomicBool>,
    /// Whether nothing is left to be done but the check.
    checking: Arc<AtomicBool>,
    record: RunRecord,
    cluster: Arc<Cluster>,
    links: Arc<Links>,
    controller: Arc<Controller>,
    faults: Arc<Faults>,
    /// The check beside the run, if there is one.
    online: Option<Arc<watch::Progress>>,
    /// What goes over the links, where the proxies can tell.
    journal: Option<Journal>,
}

impl<'a> Trial<'a> {
    /// The whole of it.
    async fn hold(plan: &'a Plan, junit: &'a mut Junit) -> Result<ExitCode> {
        let started = SystemTime::now();
        let mut store = Store::create(&plan.args.store, plan.workload.name, plan.seed, started)?;
        junit.keep_in(store.path());
        let junit = &*junit;
        let mut trial = Trial::open(plan, junit, &store, started).await?;

        panics::fail(trial.failures.clone());
        survived(trial.start()).await;
        survived(trial.drive()).await;
        survived(trial.heal()).await;
        survived(trial.final_reads()).await;
        survived(trial.stop()).await;

        let live = trial.live.clone();
        trial.checking.store(true, Ordering::Relaxed);
        let (info, circumstances) = trial.close();
        junit.phase("checking");
        let judged = judge::judge_and_report(&mut store, &plan.args, info, circumstances, &live);
        live.end();
        Ok(judged)
    }

    /// Opens everything that can fail for a reason of this machine, before the first process is started.
    async fn open(plan: &'a Plan, junit: &'a Junit, store: &Store, started: SystemTime) -> Result<Self> {
        let clock = Clock::start();
        let live = Arc::new(Live::new(&plan.args, clock, &store.path().join("controller.log")));
        let stop = CancellationToken::new();
        let failures = Arc::new(Failures::new(stop.clone()));
        let (interrupted, checking) = <(Arc<AtomicBool>, Arc<AtomicBool>)>::default();
        watch_interrupts(stop.clone(), interrupted.clone(), checking.clone(), live.clone())?;
        watch_questions(live.clone())?;
        keyboard::watch(live.clone());

        let watch = (!plan.args.no_fail_fast).then(|| Watch::start(plan.model, stop.clone(), live.clone()));
        let watch = watch.transpose().context("cannot start the check beside the run")?;
        let online = watch.as_ref().map(Watch::progress);
        let told = plan.args.verbose.then(|| live.clone());
        let recorder = Recorder::create(&store.path().join("history.jsonl"), clock, watch, told);
        let recorder = Arc::new(recorder.context("cannot create history.jsonl")?);
        let faults = Arc::new(Faults::create(&store.path().join("faults.jsonl"), clock, live.clone())?);

        let system = (plan.system.make)(&switches(&plan.args)?)?;
        let nodes = usize::from(plan.args.nodes);
        let namespaces = (plan.args.net != Net::Proxy).then(|| Namespaces::make(nodes)).transpose()?;
        let addresses = namespaces.as_ref().map(Namespaces::addresses).unwrap_or_default();
        let links = match (plan.args.net, system.wiring()) {
            (Net::Proxy, Wiring::AddressMap) => Links::open(nodes).map_err(anyhow::Error::from),
            (Net::Proxy, Wiring::Attributed) => Links::open_attributed(nodes).map_err(anyhow::Error::from),
            (Net::Transparent, _) => Links::open_transparent(&addresses).map_err(anyhow::Error::from),
            (Net::Netns, _) => Links::open_filtered(&addresses).map_err(anyhow::Error::from),
        };
        let links = Arc::new(links.context("cannot open the links")?);
        let (deaths, death_notices) = mpsc::unbounded_channel();
        let disks =
            Wish { kind: plan.args.disk, needed: plan.nemesis.needs_disks(), bytes: plan.args.disk_size };
        let network = Network {
            links: &links,
            namespaces: namespaces.as_ref(),
            clients_apart: plan.nemesis.parts_clients(),
        };
        let cluster = Cluster::lay_out(system, &network, store.path(), clock, deaths, &disks, &failures)?;
        let cluster = Arc::new(cluster);
        watch_deaths(death_notices, &cluster, failures.clone(), live.clone());
        watch_troubles(&links, failures.clone());

        let workload = (plan.workload.make)(&Options {
            seed: plan.seed,
            workers: plan.workers,
            nodes: usize::from(plan.args.nodes),
            keys: plan.args.keys,
            ops_per_key: plan.args.ops_per_key,
            reads: plan.reads,
        });
        let controller = Controller::new(
            cluster.clone(),
            recorder,
            workload,
            plan.workers,
            Pace::new(plan.args.rate, plan.seed, plan.args.time_limit),
            plan.args.op_timeout,
        );
        let journal = (plan.args.net != Net::Netns)
            .then(|| Journal::begin(&store.path().join("links.jsonl"), links.clone(), clock))
            .transpose()
            .context("cannot create links.jsonl")?;
        let record = RunRecord::new(plan, &cluster, started, clock, store.path());
        record.save()?;
        live.place(&store.complete_path().join("report.html"));
        live.title(&format!(
            "{} on {}: {}, {}, {} of {}, seed {}",
            plan.workload.name,
            plan.system.name,
            counted(usize::from(plan.args.nodes), "node"),
            counted(plan.workers, "client"),
            humantime::format_duration(plan.args.time_limit),
            match plan.nemesis.names() {
                names if names.is_empty() => "no faults".into(),
                names => names.join(", "),
            },
            plan.seed,
        ));
        Ok(Trial {
            plan,
            junit,
            live,
            stop,
            failures,
            interrupted,
            checking,
            record,
            cluster,
            links,
            controller,
            faults,
            online,
            journal,
        })
    }

    async fn start(&mut self) {
        self.phase("starting");
        if let Err(error) = self.cluster.start_all() {
            self.failures.raise("cluster", error);
        }
        self.await_answers().await;
        let first = &self.cluster.nodes[0].place;
        self.record.info.system_version = self.cluster.system.version(first).await;
        self.look_for_bypasses();
        self.look_for_strangers().await;
    }

    /// A connection between nodes that no proxy stands in would cross every cut: what such a run shows is worth
    /// nothing.
    fn look_for_bypasses(&self) {
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

    /// Makes sure that it is the nodes that listen at their ports.
    async fn look_for_strangers(&self) {
        if !self.stop.is_cancelled()
            && let Some(stranger) = self.cluster.strangers().await.into_iter().next()
        {
            self.failures.raise("links", stranger);
        }
    }

    /// Clients and nemesis side by side, until the time is up or there is a reason to stop.
    async fn drive(&mut self) {
        if self.stop.is_cancelled() {
            return;
        }
        let began_ns = self.phase("running");
        let end = self.stop.child_token();
        let time_is_up = async {
            let limit = Instant::now() + self.plan.args.time_limit;
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
        let ticking = async {
            while !end.is_cancelled() {
                self.live.tick(self.status(begun.elapsed()));
                sleep(TICK).await;
            }
        };
        tokio::join!(time_is_up, clients, nemesis, ticking);
    }

    /// How the run is doing, for the terminal.
    fn status(&self, elapsed: Duration) -> Status {
        let cluster = &self.cluster;
        let nodes = cluster.nodes.iter().map(|node| NodeNow {
            name: node.place.name.clone(),
            state: node.state(),
            restarts: node.restarts(),
        });
        Status {
            elapsed,
            limit: self.plan.args.time_limit,
            tally: self.controller.recorder.tally(),
            nodes: nodes.collect(),
            faults: self.faults.in_force(),
            next_fault: self.faults.next(),
            check: self.online.as_ref().map_or(Check::Off, |online| online.check()),
        }
    }

    /// The nemesis has undone its faults on its way out; now the cluster has to come back.
    async fn heal(&mut self) {
        self.phase("healing");
        if let Err(error) = self.faults.heal_everything(&self.cluster, &self.links).await {
            self.failures.raise("nemesis", error);
        }
        self.await_answers().await;
        self.look_for_bypasses();
        self.look_for_strangers().await;
        self.read_again().await;
    }

    /// After a violation that ended the run, the key in question is read once more from every node: whether something is lost
    /// or an answer was only old, only later answers tell. Nothing depends on their coming.
    async fn read_again(&mut self) {
        let seen = self.online.as_ref().and_then(|online| online.violation().cloned());
        self.record.info.seen_live.clone_from(&seen);
        let Some(seen) = seen.filter(|_| !self.plan.model.is_eventual() && self.failures.first().is_none())
        else {
            return;
        };
        self.phase("reading again");
        let stop = CancellationToken::new();
        let (interrupted, limit) = (self.interrupted.clone(), Instant::now() + READ_AGAIN_MAX);
        let reading = async {
            match self.cluster.ready(READ_AGAIN_MAX).await {
                Ok(()) => self.controller.read_again(&seen.key, &stop).await.map(FinalReads::all_answered),
                Err(_) => Ok(false),
            }
        };
        let time_is_up = async {
            while !interrupted.load(Ordering::Relaxed) && Instant::now() < limit {
                sleep(TICK).await;
            }
        };
        let answered = tokio::select! { read = reading => read, () = time_is_up => Ok(false) };
        match answered {
            Ok(true) => {}
            Ok(false) => self.live.event("the key of the violation could not be read again from every node"),
            Err(error) => self.failures.raise("recorder", error),
        }
    }

    async fn await_answers(&self) {
        if self.stop.is_cancelled() {
            return;
        }
        let ready = tokio::select! {
            ready = self.cluster.ready(READY_PATIENCE) => ready,
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
            match converging::converge(&self.controller, self.plan.args.settle, &self.stop).await {
                Ok(Ok(())) => {}
                Ok(Err(waited)) => {
                    self.live.event(
                        "the nodes have not settled: they still change what they show, or get no processor",
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
                    self.live
                        .event(&format!("{} of {asked} final reads were not answered", asked - answered));
                }
                self.record.info.final_reads = Some(reads);
            }
            Err(error) => self.failures.raise("recorder", error),
        }
    }

    async fn stop(&mut self) {
        if let Some((connections, first)) = self.links.strangers() {
            self.live
                .event(&format!("{connections} connections to nodes were no node's, and uncut: {first}"));
            self.record.info.strangers = Some(Strangers { connections, first });
        }
        self.phase("stopping");
        if let Err(error) = self.cluster.stop().await {
            self.failures.raise("cluster", error);
        }
        if let Some(journal) = self.journal.take()
            && let Err(error) = journal.end().await
        {
            self.live.event(&format!("links.jsonl is not whole: {error}"));
        }
        self.record.end();
    }

    /// Puts the last of the run on disk and says what there is besides the history.
    fn close(mut self) -> (RunInfo, Circumstances) {
        let interrupted = self.interrupted.load(Ordering::Relaxed);
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

    /// A phase begins; gives when, in nanoseconds since the start of the run.
    fn phase(&mut self, name: &str) -> u64 {
        let start_ns = self.record.begin_phase(name);
        self.junit.phase(name);
        self.live.phase(name);
        start_ns
    }
}

/// Ctrl-C, SIGTERM and SIGHUP end a run in order: heal, stop, save, check. One that comes while the run is checked, and the
/// second in any case, cuts the check short.
fn watch_interrupts(
    stop: CancellationToken,
    interrupted: Arc<AtomicBool>,
    checking: Arc<AtomicBool>,
    live: Arc<Live>,
) -> Result<()> {
    let mut interrupts = Interrupts::listen()?;
    tokio::spawn(async move {
        loop {
            interrupts.next().await;
            if checking.load(Ordering::Relaxed) || interrupted.swap(true, Ordering::Relaxed) {
                live.event("interrupted: the check stops");
                GIVE_UP.store(true, Ordering::Relaxed);
            } else {
                live.event("interrupted: healing, stopping, checking what exists");
            }
            stop.cancel();
        }
    });
    Ok(())
}

/// SIGUSR1 asks how the run is doing.
fn watch_questions(live: Arc<Live>) -> Result<()> {
    let mut question = signal(SignalKind::user_defined1()).context("cannot listen for SIGUSR1")?;
    tokio::spawn(async move {
        while question.recv().await.is_some() {
            live.dump();
        }
    });
    Ok(())
}

/// What fails on our side while nodes are connected to is a harness failure.
fn watch_troubles(links: &Links, failures: Arc<Failures>) {
    let trouble = links.trouble();
    tokio::spawn(async move { failures.raise("links", trouble.await) });
}

/// A node that dies without our doing is a harness failure: a trial of fewer nodes is another trial.
fn watch_deaths(
    mut deaths: mpsc::UnboundedReceiver<Death>,
    cluster: &Arc<Cluster>,
    failures: Arc<Failures>,
    live: Arc<Live>,
) {
    let cluster = Arc::downgrade(cluster);
    tokio::spawn(async move {
        while let Some(Death { node, status, excused, last_words }) = deaths.recv().await {
            if excused {
                live.event(&format!("{node} ended, {status}, of what a fault did to it"));
                continue;
            }
            live.event(&format!("{node} exited by itself: {status}"));
            // It may not have found its port free.
            let strangers = match cluster.upgrade() {
                Some(cluster) => cluster.strangers().await,
                None => Vec::new(),
            };
            let strangers: String = strangers.iter().map(|who| format!("; {who}")).collect();
            failures.raise("cluster", format!("{node} exited by itself: {status}{strangers}\n{last_words}"));
        }
    });
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::{Signal, raise};

    use super::*;
    use crate::cli::Verb;
    use crate::interrupts::ignores_hangups;

    /// Whether a run counts as interrupted, and whether its check gives up, after one signal.
    fn told(is_checking: bool, what: Signal) -> (bool, bool) {
        let Verb::Run(args) = Cli::parse_from(["tribunal", "run", "register", "--quiet"]).verb else {
            unreachable!("it says run");
        };
        let dir = tempfile::tempdir().unwrap();
        let live = Arc::new(Live::new(&args, Clock::start(), &dir.path().join("controller.log")));
        let (interrupted, stop) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
        let checking = Arc::new(AtomicBool::new(is_checking));
        GIVE_UP.store(false, Ordering::Relaxed);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            watch_interrupts(stop.clone(), interrupted.clone(), checking, live).unwrap();
            raise(what).unwrap();
            stop.cancelled().await;
        });
        (interrupted.load(Ordering::Relaxed), GIVE_UP.swap(false, Ordering::Relaxed))
    }

    #[test]
    fn the_first_signal_ends_the_run_or_the_check_of_it() {
        let mut all = vec![Signal::SIGINT, Signal::SIGTERM];
        // Under nohup it reaches nobody.
        all.extend((!ignores_hangups()).then_some(Signal::SIGHUP));
        for what in all {
            assert_eq!(told(false, what), (true, false), "{what}: the run ends, and is checked");
            assert_eq!(told(true, what), (false, true), "{what}: there is nothing but the check to end");
        }
    }
}
