//! The guard, which cleans up after a controller that is killed with -9: stores with odd names, a guard that
//! is killed, and controllers killed while they create something that must be cleaned up.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::disks::{allowed, loops_under, mounts_under};
use crate::program::{Store, tribunal, wait_until};

/// A run whose nodes have mounted disks, in a store with this name below `home`.
fn mounted(home: &Store, name: &[u8]) -> Child {
    let mut run =
        tribunal("run register --nodes 3 --time-limit 10m --nemesis none --disk fuse --store".split(' '));
    let child = run.arg(home.path().join(OsStr::from_bytes(name))).spawn().unwrap();
    wait_until("disks are mounted", || mounts_under(home.path()) == 3);
    child
}

fn kill_9(child: &mut Child) {
    kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
}

fn nothing_is_left(home: &Store) {
    wait_until("nothing is mounted", || mounts_under(home.path()) == 0);
    home.await_silence();
    wait_until("no loop device is left", || loops_under(home.path()) == 0);
}

/// A process that belongs to no run; it ends with the test.
struct Bystander(Child);

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_name_of_a_store_cannot_confuse_the_guard() {
    if !allowed(false) {
        return;
    }
    let sleep =
        Command::new("sleep").arg("600").process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut bystander = Bystander(sleep.unwrap());
    let injected = format!("x\n+pgid {}\n", bystander.0.id());
    for name in [injected.as_bytes(), b"\xff\xfe not text"] {
        let home = Store::new();
        let mut run = mounted(&home, name);
        kill_9(&mut run);
        nothing_is_left(&home);
    }
    assert!(bystander.0.try_wait().unwrap().is_none(), "a process that is none of ours is left alone");
}

/// The guard of a controller.
fn guard_of(controller: &Child) -> Option<Pid> {
    let children = format!("/proc/{0}/task", controller.id());
    let tasks = std::fs::read_dir(children).ok()?.flatten();
    let pids = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let pids: Vec<i32> =
        pids.flat_map(|it| it.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect();
    let is_guard = |pid: &i32| {
        let line =
            std::fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline")).unwrap_or_default();
        line.ends_with(b"\0guard\0")
    };
    pids.into_iter().find(is_guard).map(Pid::from_raw)
}

#[test]
fn a_killed_guard_is_replaced_with_the_same_list() {
    if !allowed(false) {
        return;
    }
    let home = Store::new();
    let mut run = mounted(&home, b"store");
    let first = guard_of(&run).expect("it has a guard");
    kill(first, Signal::SIGKILL).unwrap();
    wait_until("there is another", || guard_of(&run).is_some_and(|guard| guard != first));
    kill_9(&mut run);
    nothing_is_left(&home);
}

/// The kernel sends SIGHUP to a stopped process group when it becomes orphaned.
#[test]
fn a_stopped_guard_cleans_up_when_resumed() {
    if !allowed(false) {
        return;
    }
    let home = Store::new();
    let mut run = mounted(&home, b"store");
    let guard = guard_of(&run).expect("it has a guard");
    kill(guard, Signal::SIGSTOP).unwrap();
    kill_9(&mut run);
    std::thread::sleep(Duration::from_millis(100));
    let _ = kill(guard, Signal::SIGCONT); // the kernel may have resumed it
    nothing_is_left(&home);
}

#[test]
fn a_guard_that_cannot_live_ends_the_run() {
    let home = Store::new();
    let run = home.command("run register --nodes 3 --time-limit 10m --nemesis none").spawn().unwrap();
    let mut ended = run;
    wait_until("it has given up", || {
        if let Some(guard) = guard_of(&ended) {
            let _ = kill(guard, Signal::SIGKILL); // its replacement is being started
        }
        ended.try_wait().unwrap().is_some()
    });
    let ended = crate::program::Ended::of(ended.wait_with_output().unwrap()).expect(3);
    assert!(ended.stdout.contains("the guard exited by itself"), "{}", ended.stdout);
}

/// Kills controllers while they create disks, each a little later than the previous one.
fn killed_while_disks_are_made(disk: &str, times: u64, apart: Duration) {
    if !allowed(disk == "ext4") {
        return;
    }
    for nth in 0..times {
        let home = Store::new();
        let args = format!("run register --nodes 3 --time-limit 10m --nemesis none --disk {disk}");
        let mut child = home.command(&args).spawn().unwrap();
        wait_until("it has begun", || home.path().join("register").is_dir());
        std::thread::sleep(apart * nth as u32);
        kill_9(&mut child);
        home.await_silence();
        // A disk created after all processes are gone would be visible a moment later.
        std::thread::sleep(Duration::from_millis(100));
        nothing_is_left(&home);
    }
}

#[test]
fn a_controller_killed_while_it_makes_disks_leaves_none() {
    killed_while_disks_are_made("ext4", 5, Duration::from_millis(40));
}

#[test]
#[ignore = "nightly: about 60 s"]
fn a_controller_killed_at_any_moment_of_making_disks_leaves_none() {
    for disk in ["ext4", "fuse"] {
        killed_while_disks_are_made(disk, 40, Duration::from_millis(9));
    }
}
