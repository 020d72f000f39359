//! Two boots of the same image do the same, whatever the host's time, load and entropy; and so do snapshots. This program
//! is the test, and in the guest it is process 1 and the program that looks for differences.

#![expect(clippy::print_stdout, reason = "its output is that of a test")]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tribunal_box::guest::{self, Job};
use tribunal_box::{Boot, BoxError, Chosen, Entry, Image, Machine, NoEntry, Parts, Tape, set_up};
use tribunal_records::boxed::Branch;

const RESULTS: &str = "/box/results";
/// A moment between what the probe does first and what it does later.
const MOMENT: Duration = Duration::from_millis(600);
/// When the probe goes on. The guest looks for the moment every 40 ms.
const LATER: Duration = Duration::from_millis(700);

fn main() {
    if guest::is_init() {
        guest::serve();
    }
    if Tape::find().is_ok() {
        return probe();
    }
    let Some(parts) = parts() else { return };
    let (first, (second, other)) = (booted(&machine(&parts, 7)), {
        // The second boot competes for the processors, and starts at another time.
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            (0..4).for_each(|_| {
                drop(scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        std::hint::spin_loop()
                    }
                }))
            });
            thread::sleep(Duration::from_millis(1_234));
            let both = (booted(&machine(&parts, 7)), booted(&machine(&parts, 8)));
            stop.store(true, Ordering::Relaxed);
            both
        })
    });
    // More boots, for whoever doubts: each says when its program began.
    let more = std::env::var("TRIBUNAL_BOX_BOOTS").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    for nth in 0..more {
        let began = text(&booted(&machine(&parts, 7))["nanoseconds"]);
        println!("boot {nth}: {began}");
        assert_eq!(began, text(&first["nanoseconds"]));
    }
    assert_same(&first, &second, "the second boot");
    for name in ["entropy", "race", "times"] {
        assert!(first[name] != other[name], "{name} does not depend on the seed: {}", text(&first[name]));
    }
    let began: u64 = text(&first["realtime"]).parse().expect("seconds");
    let base = 1_767_225_600; // 2026-01-01T00:00:00Z
    assert!((base..base + 60).contains(&began), "the guest knows the host's time: {began}");
    let devices = text(&first["devices"]);
    let host_dependent = ["0x0100", "0x0106", "0x02", "0x00ff"]; // SCSI, SATA, networks, virtio
    assert!(!host_dependent.iter().any(|class| devices.contains(class)), "{devices}");
    assert_eq!(text(&first["disks"]), "");
    println!("a box repeats: ok ({} files, twice)", first.len());

    // A machine that is ready for its job does with it what a booted one does.
    let ready = machine(&parts, 0).ready(&|| false).expect("it is made").expect("the machine gets ready");
    let kept = machine(&parts, 9).boot(&|| false).map(|boot| boot.expect("nobody gives up"));
    assert!(!files(kept).is_empty(), "a kept one starts");
    for nth in 0..2 {
        assert_same(&first, &files(machine(&parts, 7).resume(&ready)), &format!("continued {nth}"));
    }
    assert_same(&other, &files(machine(&parts, 8).resume(&ready)), "continued with another seed");

    // A branch changes what comes after its moment, and nothing before.
    let branch = |seed| Machine {
        branch: Some(Branch { at: MOMENT, seed, end: Duration::MAX }),
        ..machine(&parts, 7)
    };
    let moment = branch(0).at_branch(&ready, &|| false).expect("it is made").expect("the moment comes");
    let (one, two) = (files(branch(1).resume(&moment)), files(branch(2).resume(&moment)));
    let is_late = |name: &str| name.starts_with("later");
    let early = |files: &Files| -> Files {
        files
            .iter()
            .filter(|(name, _)| !is_late(name))
            .map(|(name, bytes)| (name.clone(), bytes.clone()))
            .collect()
    };
    assert_same(&early(&first), &early(&one), "before the branch");
    assert_ne!(text(&one["later-entropy"]), text(&two["later-entropy"]));
    assert_ne!(text(&one["later-times"]), text(&two["later-times"]));
    assert_same(&one, &files(branch(1).resume(&moment)), "the same branch again");
    assert_same(&one, &booted(&branch(1)), "the same branch, from the start");
    println!("snapshots repeat: ok");
}

/// What the probe wrote, by its names.
type Files = BTreeMap<String, Vec<u8>>;

fn assert_same(expected: &Files, found: &Files, whose: &str) {
    for (name, bytes) in expected {
        let other = found.get(name).map(|bytes| text(bytes));
        assert!(found.get(name) == Some(bytes), "{whose}: {name} differs:\n{}\n{other:?}", text(bytes));
    }
    assert_eq!(expected.len(), found.len(), "{whose}");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// QEMU and a kernel; `None` after a message that the test is skipped.
fn parts() -> Option<Parts> {
    match Parts::find() {
        Ok(parts) => Some(parts),
        Err(_) if std::env::var_os("TRIBUNAL_NO_SKIP").is_some() => {
            Some(set_up(&Chosen::default(), &mut |line| println!("{line}")).expect("the box is set up"))
        }
        Err(why) => {
            println!("skipped: {why}");
            None
        }
    }
}

/// The machine that runs this program.
fn machine(parts: &Parts, seed: u64) -> Machine {
    let mut image = Image::default();
    image.add_program(&std::env::current_exe().expect("a path"), Path::new("/init")).expect("it is packed");
    image.add_modules(&[]).expect("there are none");
    Machine {
        parts: parts.clone(),
        kernel: std::fs::read(&parts.kernel).expect("the kernel is readable"),
        image: image.to_bytes().expect("it is small"),
        memory_mib: 512,
        init: Vec::new(),
        env: Vec::new(),
        job: Job { directory: "/".into(), results: RESULTS.into(), seed, ..Job::default() },
        branch: None,
    }
}

/// The files of a machine that is started.
fn booted(machine: &Machine) -> Files {
    let start = machine.booted(&|| false).expect("it boots").expect("nobody gives up");
    let start = match machine.branch {
        None => start,
        Some(_) => machine.at_branch(&start, &|| false).expect("it runs").expect("nobody gives up"),
    };
    files(machine.resume(&start))
}

/// The files that the probe has written.
fn files(boot: Result<Boot, BoxError>) -> Files {
    let mut boot = boot.expect("QEMU starts");
    let mut files = BTreeMap::new();
    loop {
        match boot.next(Duration::from_secs(1)).expect("the box works") {
            Ok(Entry::File(path, bytes)) => drop(files.insert(path, bytes)),
            Ok(Entry::End(how)) => assert_eq!(how, "exit code 0"),
            Ok(_) | Err(NoEntry::Yet) => {}
            Err(NoEntry::Off) => return files,
        }
    }
}

/// In the guest: writes down everything by which two boots could differ.
fn probe() {
    let write =
        |name: &str, text: String| std::fs::write(Path::new(RESULTS).join(name), text).expect("written");
    let zero = Instant::now();
    Tape::find().expect("this is a box").set_clock(Duration::ZERO);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    write("realtime", now.as_secs().to_string());
    write("nanoseconds", now.as_nanos().to_string());
    let random = entropy();
    write("entropy", format!("{random:?}"));
    write("addresses", format!("{:p} {:p}", &random, Box::new(1)));
    write("race", race());
    write("times", times());
    for name in ["interrupts", "stat", "meminfo", "net/tcp", "sys/kernel/random/boot_id"] {
        let text = std::fs::read_to_string(Path::new("/proc").join(name)).unwrap_or_default();
        write(&name.replace('/', "-"), text);
    }
    let devices = std::fs::read_dir("/sys/bus/pci/devices").expect("there is a bus");
    let class = |path: &Path| std::fs::read_to_string(path.join("class")).unwrap_or_default();
    let mut devices: Vec<String> =
        devices.flatten().map(|it| format!("{:?} {}", it.file_name(), class(&it.path()))).collect();
    devices.sort();
    let disks = std::fs::read_dir("/sys/block").expect("there is sysfs").flatten();
    write("disks", disks.map(|it| it.file_name().to_string_lossy().into_owned()).collect());
    write("devices", devices.concat());
    assert!(zero.elapsed() < MOMENT, "the machine is slower than expected: {:?}", zero.elapsed());
    thread::sleep(LATER - zero.elapsed());
    write("later-entropy", format!("{:?}", entropy()));
    write("later-times", times());
}

fn entropy() -> [u8; 64] {
    let mut random = [0; 64];
    std::fs::File::open("/dev/urandom").and_then(|mut it| it.read_exact(&mut random)).expect("entropy");
    random
}

/// When sleeps end.
fn times() -> String {
    let start = Instant::now();
    let times = (0..200).map(|_| {
        thread::sleep(Duration::from_micros(300));
        format!("{}\n", start.elapsed().as_nanos())
    });
    times.collect()
}

/// The order in which threads that hurry come through a channel.
fn race() -> String {
    let (sender, receiver) = mpsc::channel();
    for name in 0..8 {
        let sender = sender.clone();
        thread::spawn(move || {
            for _ in 0..300 {
                let _ = sender.send(name);
                thread::yield_now();
            }
        });
    }
    drop(sender);
    receiver.iter().map(|name: usize| name.to_string()).collect()
}
