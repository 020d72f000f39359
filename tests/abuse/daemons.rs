//! Nodes that leave their process group and session, run by a user who cannot create cgroups: a kill ends
//! them, and none outlives the run.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::program::{Ended, Store, wait_until};

/// Installs a server whose wrapper starts it as a daemon; with `bare`, without the environment from Tribunal.
fn install_wrapper(store: &Store, bare: bool) -> Option<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Some(etcd) = std::env::split_paths(&path).map(|dir| dir.join("etcd")).find(|file| file.is_file())
    else {
        assert!(std::env::var_os("TRIBUNAL_NO_SKIP").is_none(), "etcd is not installed");
        eprintln!("skipped: etcd is not installed");
        return None;
    };
    let environment = if bare { "env -i " } else { "" };
    let bin = store.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let script = format!("#!/bin/sh\n{environment}setsid -f {} \"$@\"\nexec sleep 1000000\n", etcd.display());
    std::fs::write(bin.join("etcd"), script).unwrap();
    for (path, mode) in [(bin.join("etcd"), 0o755), (bin, 0o755), (store.path().to_owned(), 0o777)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    Some(())
}

/// The command run by an unprivileged user, with the wrapper in front of the server.
fn as_unprivileged_user(store: &Store, args: &str) -> Command {
    let inner = store.command(args);
    let mut command = match nix::unistd::geteuid().is_root() {
        true => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(inner.get_program());
            command
        }
        false => Command::new(inner.get_program()),
    };
    command.args(inner.get_args()).current_dir(store.path()).env("HOME", store.path());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::iter::once(store.path().join("bin")).chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(dirs).unwrap());
    command.stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    command
}

#[test]
fn a_kill_and_a_pause_include_the_daemon_of_a_node() {
    let store = Store::in_memory();
    let Some(()) = install_wrapper(&store, false) else { return };
    let schedule = store.path().join("kill.toml");
    let steps = "[[step]]\nat = '500ms'\nhold = '1500ms'\nfault = 'kill:one'\n\
                 [[step]]\nat = '4500ms'\nhold = '1s'\nfault = 'pause:one'";
    std::fs::write(&schedule, steps).unwrap();
    let args = format!(
        "run rw-register --system etcd --nodes 3 --time-limit 7s --rate 100 --op-timeout 500ms --seed 1 --schedule {}",
        schedule.display()
    );
    let ended = Ended::of(as_unprivileged_user(&store, &args).output().expect("it starts")).expect(0);
    assert_eq!(store.processes(), [""; 0]);
    let faults = std::fs::read_to_string(store.run_directory("rw-register").join("faults.jsonl")).unwrap();
    let effective = faults.lines().filter(|line| line.contains("\"nodes_stopped\":1")).count();
    assert_eq!(effective, 2, "{faults}\n{}", ended.stdout);
}

/// The daemon can be assigned to its node only by the port on which it listens.
#[test]
#[ignore = "nightly: about 10 s"]
fn a_kill_ends_a_daemon_without_its_environment() {
    let store = Store::in_memory();
    let Some(()) = install_wrapper(&store, true) else { return };
    let args = "run rw-register --system etcd --nodes 3 --time-limit 5s --rate 100 --op-timeout 500ms --seed 1 \
                --nemesis kill:one --nemesis-interval 2s";
    Ended::of(as_unprivileged_user(&store, args).output().expect("it starts")).expect(0);
    assert_eq!(store.processes(), [""; 0]);
}

#[test]
fn no_daemon_outlives_a_killed_controller() {
    let store = Store::in_memory();
    let Some(()) = install_wrapper(&store, false) else { return };
    // Marked daemons are known from their start.
    kill_run_when(&store, served);
}

#[test]
#[ignore = "nightly: about 10 s"]
fn no_daemon_without_its_environment_outlives_a_killed_controller() {
    let store = Store::in_memory();
    let Some(()) = install_wrapper(&store, true) else { return };
    let started = std::time::Instant::now();
    // Long enough for the search for strays.
    kill_run_when(&store, |store| served(store) && started.elapsed().as_secs() >= 8);
}

fn served(store: &Store) -> bool {
    let runs = std::fs::read_dir(store.path().join("rw-register")).into_iter().flatten().flatten();
    runs.filter_map(|run| std::fs::read_to_string(run.path().join("history.jsonl")).ok())
        .any(|history| history.contains("\"ok\""))
}

/// A run whose controller is killed with -9 as soon as `condition` holds.
fn kill_run_when(store: &Store, condition: impl Fn(&Store) -> bool) {
    let args = "run rw-register --system etcd --nodes 3 --time-limit 10m --nemesis none --rate 100";
    let mut child = as_unprivileged_user(store, args).spawn().expect("it starts");
    wait_until("the nodes serve", || condition(store));
    // setpriv executes the program in its own process.
    kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    store.await_silence();
}
