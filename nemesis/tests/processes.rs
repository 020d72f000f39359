//! Faults on real processes, seen from inside: what their clocks show, how much of the processor they get,
//! which files they may open. The program under test is this test binary.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use nix::{
    libc,
    sys::signal::{Signal, killpg},
    time::{ClockId, clock_gettime},
    unistd::Pid,
};
use std::os::unix::process::CommandExt;
use tokio_util::sync::CancellationToken;
use tribunal_nemesis::{
    FaultEvent, FaultOutcome, FaultRecord, Links, NodeId, NodeState, Nodes, Plan, Step, drive,
};

/// The program's answer to `time`, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Reading {
    wall: i128,
    monotonic: i128,
    boot: i128,
    gettimeofday: i128,
    /// The start of the second.
    time: i128,
}

fn ns(clock: ClockId) -> i128 {
    let time = clock_gettime(clock).expect("Linux has it");
    i128::from(time.tv_sec()) * 1_000_000_000 + i128::from(time.tv_nsec())
}

impl Reading {
    fn here() -> Reading {
        let mut day = libc::timeval { tv_sec: 0, tv_usec: 0 };
        // SAFETY: each call gets a pointer to a value of the right type, or null, which is allowed.
        let time = unsafe {
            libc::gettimeofday(&mut day, std::ptr::null_mut());
            libc::time(std::ptr::null_mut())
        };
        Reading {
            wall: ns(ClockId::CLOCK_REALTIME),
            monotonic: ns(ClockId::CLOCK_MONOTONIC),
            boot: ns(ClockId::CLOCK_BOOTTIME),
            gettimeofday: i128::from(day.tv_sec) * 1_000_000_000 + i128::from(day.tv_usec) * 1_000,
            time: i128::from(time) * 1_000_000_000,
        }
    }
}

/// Not a test but the program that the tests act on: answers `time`, and `open` with whether it can open a
/// file.
#[test]
#[ignore = "the program of the other tests"]
fn program() {
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let answer = match line.as_str() {
            "open" => format!("{}", std::fs::File::open("/dev/null").is_ok()),
            "spin" => {
                std::thread::spawn(|| while std::hint::black_box(true) {});
                "spinning".to_owned()
            }
            _ => {
                let Reading { wall, monotonic, boot, gettimeofday, time } = Reading::here();
                format!("{wall} {monotonic} {boot} {gettimeofday} {time}")
            }
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "answer {answer}").expect("the test listens");
        out.flush().expect("the test listens");
    }
}

/// A program, as a cluster of one node.
struct Program {
    command: Box<dyn Fn() -> Command + Send + Sync>,
    running: Mutex<Option<Running>>,
}

struct Running {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Program {
    fn start() -> Arc<Program> {
        let program = Program::of(|| {
            let mut command = Command::new(std::env::current_exe().expect("this test"));
            command.args(["program", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
            command
        });
        program.ask("time");
        program
    }

    fn of(command: impl Fn() -> Command + Send + Sync + 'static) -> Arc<Program> {
        let running = Mutex::new(Some(Running::start(command())));
        Arc::new(Program { command: Box::new(command), running })
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().expect("not poisoned")
    }

    fn ask(&self, question: &str) -> String {
        self.running().as_mut().expect("it runs").ask(question)
    }

    /// What the program reads, between two correct readings.
    fn read(&self) -> [Reading; 3] {
        let before = Reading::here();
        let answer = self.ask("time");
        let words: Vec<i128> = answer.split(' ').map(|word| word.parse().expect("a number")).collect();
        let [wall, monotonic, boot, gettimeofday, time] = words[..] else { panic!("{answer}") };
        [before, Reading { wall, monotonic, boot, gettimeofday, time }, Reading::here()]
    }

    /// Asserts that the wall clock is off by exactly `wall`.
    #[track_caller]
    fn check_wall(&self, wall: i128) {
        let [before, inside, after] = self.read();
        let us = 1_000;
        assert!((before.wall + wall..=after.wall + wall).contains(&inside.wall), "{inside:?}");
        assert!(
            (before.gettimeofday + wall - us..=after.gettimeofday + wall).contains(&inside.gettimeofday),
            "{inside:?}"
        );
        let second = |ns: i128| ns.div_euclid(1_000_000_000) * 1_000_000_000;
        assert!(
            (second(before.time + wall)..=second(after.wall + wall)).contains(&inside.time),
            "{before:?} {inside:?} {after:?}"
        );
        assert!((before.boot..=after.boot).contains(&inside.boot), "{inside:?}");
    }

    #[track_caller]
    fn check_monotonic(&self, wrong: std::ops::RangeInclusive<i128>) {
        let [before, inside, after] = self.read();
        let found = inside.monotonic - after.monotonic..=inside.monotonic - before.monotonic;
        assert!(found.start() <= wrong.end() && wrong.start() <= found.end(), "{found:?} {wrong:?}");
    }
}

impl Running {
    fn start(mut command: Command) -> Running {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().expect("it starts");
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Running { child, input, output }
    }

    fn ask(&mut self, question: &str) -> String {
        writeln!(self.input, "{question}").expect("it listens");
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.output.read_line(&mut line).expect("it answers") > 0, "it ended");
            // The test harness prints lines of its own, even on the same line.
            if let Some((_, answer)) = line.split_once("answer ") {
                return answer.trim().to_owned();
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Nodes for Program {
    fn count(&self) -> usize {
        1
    }

    async fn kill(&self, _: NodeId) -> Result<(), String> {
        drop(self.running().take());
        Ok(())
    }

    async fn terminate(&self, node: NodeId) -> Result<(), String> {
        self.kill(node).await
    }

    async fn pause(&self, node: NodeId) -> Result<(), String> {
        let pid = self.pid(node).ok_or("it is down")?;
        killpg(Pid::from_raw(pid), Signal::SIGSTOP).map_err(|error| error.to_string())?;
        while self.state(node) == NodeState::Running {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    async fn resume(&self, node: NodeId) -> Result<(), String> {
        let _ = self.pid(node).map(|pid| killpg(Pid::from_raw(pid), Signal::SIGCONT));
        Ok(())
    }

    async fn start(&self, _: NodeId) -> Result<(), String> {
        self.running().get_or_insert_with(|| Running::start((self.command)()));
        Ok(())
    }

    fn pid(&self, _: NodeId) -> Option<i32> {
        self.running().as_ref().map(|running| running.child.id() as i32)
    }

    fn may_die(&self, _: NodeId) {}

    fn cgroup(&self, _: &std::path::Path, _: bool) {}

    fn state(&self, node: NodeId) -> NodeState {
        let Some(pid) = self.pid(node) else { return NodeState::Down };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        match stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()) {
            Some('T') => NodeState::Paused,
            Some('Z') | None => NodeState::Down,
            Some(_) => NodeState::Running,
        }
    }

    async fn primaries(&self) -> Vec<NodeId> {
        Vec::new()
    }
}

/// Holds a fault with these acts, runs `look` while it is in force, and undoes it. Returns its two records.
async fn hold(program: &Arc<Program>, acts: &[&str], look: impl AsyncFnOnce()) -> Vec<FaultRecord> {
    let links = Arc::new(Links::open(1).expect("loopback listeners"));
    let acts = acts.iter().map(|act| act.parse().expect("an act")).collect();
    let step = Step {
        at_ms: 0,
        hold_ms: 3_600_000,
        fault: "given".to_owned(),
        kind: "given".to_owned(),
        leader: None,
        follows_ms: Vec::new(),
        drawn: false,
        acts,
    };
    let began = std::time::Instant::now();
    let clock = move || began.elapsed().as_nanos() as u64;
    let stop = CancellationToken::new();
    let records = Mutex::new(Vec::new());
    let applied = tokio::sync::Notify::new();
    let record = |record: FaultRecord| {
        records.lock().expect("not poisoned").push(record);
        applied.notify_one();
    };
    let plan = Plan { steps: vec![step], ..Plan::default() };
    let looking = async {
        applied.notified().await;
        look().await;
        stop.cancel();
    };
    let (_, run_events) = tokio::sync::mpsc::unbounded_channel();
    let driven = drive(plan, program.clone(), links.clone(), clock, stop.clone(), run_events, record);
    let (result, ()) = tokio::join!(driven, looking);
    assert_eq!(result, Ok(()));
    links.close().await;
    let records = records.into_inner().expect("not poisoned");
    for record in &records {
        assert_eq!(record.outcome, FaultOutcome::Installed, "{record:?}");
    }
    assert_eq!(records.last().map(|record| record.event), Some(FaultEvent::Heal));
    records
}

const MS: i128 = 1_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_clock_jumps_and_is_put_right() {
    if !clocks_can_be_wrong() {
        return;
    }
    let program = Program::start();
    program.check_wall(0);
    let records = hold(&program, &["skew n1 offset_ms=-5000"], async || {
        program.check_wall(-5_000 * MS);
        program.check_monotonic(0..=0);
    })
    .await;
    program.check_wall(0);
    assert_eq!(records[1].effect.map(|effect| effect.clock_off_ms), Some(5_000));
    assert_eq!(records[1].effective, Some(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_process_has_the_wrong_clock_again() {
    if !clocks_can_be_wrong() {
        return;
    }
    let program = Program::start();
    hold(&program, &["skew n1 offset_ms=7200000", "kill n1", "start n1"], async || {
        program.check_wall(7_200_000 * MS);
    })
    .await;
    program.check_wall(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strobing_clock_is_in_the_end_as_it_was_last_set() {
    if !clocks_can_be_wrong() {
        return;
    }
    let program = Program::start();
    let acts: Vec<String> =
        (0..50)
            .map(|at| {
                if at % 2 == 0 {
                    format!("@{at} skew n1 offset_ms=60000")
                } else {
                    format!("@{at} unskew n1")
                }
            })
            .chain(["@50 skew n1 offset_ms=-60000".to_owned()])
            .collect();
    let acts: Vec<&str> = acts.iter().map(String::as_str).collect();
    hold(&program, &acts, async || {
        while program.read()[1].wall - ns(ClockId::CLOCK_REALTIME) > -59_000 * MS {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        program.check_wall(-60_000 * MS);
    })
    .await;
    program.check_wall(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fast_clock_waits_for_the_truth_and_a_monotonic_one_never_goes_back() {
    if !clocks_can_be_wrong() {
        return;
    }
    let program = Program::start();
    let before = ns(ClockId::CLOCK_MONOTONIC);
    let mut last = 0;
    let mut seen = |program: &Program| {
        let [_, inside, _] = program.read();
        assert!(inside.monotonic >= last, "{} after {last}", inside.monotonic);
        last = inside.monotonic;
    };
    hold(&program, &["skew n1 drift_ppm=200000"], async || {
        let from = ns(ClockId::CLOCK_MONOTONIC);
        while ns(ClockId::CLOCK_MONOTONIC) < from + 300 * MS {
            seen(&program);
        }
        let now = ns(ClockId::CLOCK_MONOTONIC);
        let to = (ns(ClockId::CLOCK_MONOTONIC) - before) * 2 / 10 + 50 * MS;
        program.check_monotonic((now - from) * 2 / 10 - 1..=to);
    })
    .await;
    // The wall clock is correct at once; the monotonic clock becomes correct later.
    program.check_wall(0);
    loop {
        seen(&program);
        let [before, inside, after] = program.read();
        if (before.monotonic..=after.monotonic).contains(&inside.monotonic) {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_process_stays_paused_while_its_clock_is_set() {
    if !clocks_can_be_wrong() {
        return;
    }
    let program = Program::start();
    hold(&program, &["pause n1", "skew n1 offset_ms=1000"], async || {
        // The kernel puts a process that is no longer traced back to its stop when it next schedules it.
        let stopped = async {
            while program.state(NodeId(0)) != NodeState::Paused {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), stopped).await.expect("it stays paused");
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_eq!(program.state(NodeId(0)), NodeState::Paused);
        }
    })
    .await;
    program.check_wall(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_starving_process_gets_less_until_the_undo() {
    let program = Program::start();
    assert_eq!(program.ask("spin"), "spinning");
    let mut paused = false;
    let records = hold(&program, &["starve n1 cpu_percent=5"], async || {
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            paused |= program.state(NodeId(0)) == NodeState::Paused;
        }
    })
    .await;
    let effect = records[1].effect.expect("on heal");
    assert!(effect.cpu_withheld_ms > 0, "{effect:?}, paused {paused}");
    assert_eq!(program.state(NodeId(0)), NodeState::Running);
    let own = std::fs::read_to_string("/proc/self/cgroup").expect("Linux");
    let pid = program.pid(NodeId(0)).expect("it runs");
    assert_eq!(std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("Linux"), own);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_undo_of_a_file_limit_raises_it() {
    let program = Program::start();
    assert_eq!(program.ask("open"), "true");
    hold(&program, &["limit n1 files=0"], async || assert_eq!(program.ask("open"), "false")).await;
    assert_eq!(program.ask("open"), "true");
}

/// Whether this process may write to the memory of a child, which skewing its clock needs; prints a note if
/// not.
fn clocks_can_be_wrong() -> bool {
    let mut child = Command::new("sleep").arg("600").spawn().expect("coreutils");
    let memory = format!("/proc/{}/mem", child.id());
    let opened = std::fs::File::options().read(true).write(true).open(memory);
    child.kill().and_then(|()| child.wait()).expect("it is our child");
    if let Err(error) = &opened {
        assert!(
            std::env::var("TRIBUNAL_NO_SKIP").as_deref() != Ok("all"),
            "cannot write to a child: {error}"
        );
        eprintln!("skipped: a child's memory may not be written to: {error}");
    }
    opened.is_ok()
}

/// Whether a program runs here. If not, prints a note, or fails if tests may not be skipped.
fn runs(program: &str, package: &str) -> bool {
    let version = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    let runs = version.as_ref().is_ok_and(|version| version.status.success());
    if !runs {
        assert!(
            std::env::var("TRIBUNAL_NO_SKIP").as_deref() != Ok("all"),
            "{program} does not run: {version:?}"
        );
        eprintln!("skipped: {program} does not run here (Debian: {package})");
    }
    runs
}

const JAVA: &str = r#"
public class Clock {
    public static void main(String[] arguments) throws Exception {
        var input = new java.io.BufferedReader(new java.io.InputStreamReader(System.in));
        while (input.readLine() != null) {
            System.out.println("answer " + System.currentTimeMillis());
        }
    }
}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn java_reads_the_skewed_clock() {
    if !clocks_can_be_wrong() || !runs("java", "openjdk-17-jdk-headless") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let source = dir.path().join("Clock.java");
    std::fs::write(&source, JAVA).expect("a file");
    let program = Program::of(move || {
        let mut command = Command::new("java");
        command.arg(&source);
        command
    });
    let check = |wrong_ms: i128| {
        let before = ns(ClockId::CLOCK_REALTIME) / MS;
        let says: i128 = program.ask("time").parse().expect("milliseconds");
        let after = ns(ClockId::CLOCK_REALTIME) / MS;
        assert!((before + wrong_ms..=after + wrong_ms).contains(&says), "{before} {says} {after}");
    };
    check(0);
    hold(&program, &["skew n1 offset_ms=-7200000"], async || check(-7_200_000)).await;
    check(0);
}

/// A server in Go dates its responses.
#[tokio::test(flavor = "multi_thread")]
async fn go_reads_the_skewed_clock() {
    if !clocks_can_be_wrong() || !runs("etcd", "etcd-server") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().to_owned();
    let free = || std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let (client, peer) = (free().expect("a port"), free().expect("a port"));
    let program = Program::of(move || {
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(&data).stderr(Stdio::null());
        for flag in ["--listen-client-urls", "--advertise-client-urls"] {
            command.arg(flag).arg(format!("http://{client}"));
        }
        for flag in ["--listen-peer-urls", "--initial-advertise-peer-urls"] {
            command.arg(flag).arg(format!("http://{peer}"));
        }
        command.arg("--initial-cluster").arg(format!("default=http://{peer}"));
        command
    });
    let date = || {
        let mut stream = std::net::TcpStream::connect(client).ok()?;
        stream.write_all(b"GET /version HTTP/1.0\r\n\r\n").ok()?;
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        lines.into_iter().find_map(|line| Some(line.strip_prefix("Date: ")?.to_owned()))
    };
    while date().is_none() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // A day earlier is another day of the month.
    let day = |date: String| date.split(' ').nth(1).expect("Sat, 21 Nov 2026 12:00:00 GMT").to_owned();
    let true_day = day(date().expect("it answers"));
    hold(&program, &["skew n1 offset_ms=-86400000"], async || {
        assert_ne!(day(date().expect("it answers")), true_day);
    })
    .await;
    assert_eq!(day(date().expect("it answers")), true_day);
}
