//! Two boots of the same image do the same, whatever the host's time, load and entropy. This program is the test, and in
//! the guest it is process 1 and the program that looks for differences.

#![expect(clippy::print_stdout, reason = "its output is that of a test")]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tribunal_box::guest::{self, Job};
use tribunal_box::{Chosen, Entry, Image, Machine, NoEntry, Parts, Tape, set_up};

const RESULTS: &str = "/box/results";

fn main() {
    if guest::is_init() {
        guest::serve();
    }
    if Tape::find().is_ok() {
        return probe();
    }
    let Some(parts) = parts() else { return };
    let (first, (second, other)) = (boot(&parts, 7), {
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
            let both = (boot(&parts, 7), boot(&parts, 8));
            stop.store(true, Ordering::Relaxed);
            both
        })
    });
    // More boots, for whoever doubts: each says when its program began.
    let more = std::env::var("TRIBUNAL_BOX_BOOTS").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    for nth in 0..more {
        let began = text(&boot(&parts, 7)["nanoseconds"]);
        println!("boot {nth}: {began}");
        assert_eq!(began, text(&first["nanoseconds"]));
    }
    for (name, bytes) in &first {
        assert!(second.get(name) == Some(bytes), "{name} differs:\n{}\n{}", text(bytes), text(&second[name]));
    }
    assert_eq!(first.len(), second.len());
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

/// Boots once; returns the files that the probe has written.
fn boot(parts: &Parts, seed: u64) -> BTreeMap<String, Vec<u8>> {
    let mut image = Image::default();
    image.add_program(&std::env::current_exe().expect("a path"), Path::new("/init")).expect("it is packed");
    let job = Job {
        args: Vec::new(),
        env: Vec::new(),
        directory: "/".into(),
        results: RESULTS.into(),
        modules: Vec::new(),
        seed,
    };
    job.put_into(&mut image);
    let machine = Machine {
        parts: parts.clone(),
        kernel: std::fs::read(&parts.kernel).expect("the kernel is readable"),
        image: image.to_bytes().expect("it is small"),
        memory_mib: 512,
        init: Vec::new(),
        env: Vec::new(),
    };
    let mut boot = machine.boot().expect("QEMU starts");
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
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    write("realtime", now.as_secs().to_string());
    write("nanoseconds", now.as_nanos().to_string());
    let mut random = [0; 64];
    std::fs::File::open("/dev/urandom").and_then(|mut it| it.read_exact(&mut random)).expect("entropy");
    write("entropy", format!("{random:?}"));
    write("addresses", format!("{:p} {:p}", &random, Box::new(1)));
    write("race", race());
    let start = Instant::now();
    let times = (0..200).map(|_| {
        thread::sleep(Duration::from_micros(300));
        format!("{}\n", start.elapsed().as_nanos())
    });
    write("times", times.collect());
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
