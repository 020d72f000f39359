//! Typing `t` and Enter at the terminal prints the status, as SIGUSR1 does.
//!
//! The terminal's mode is not changed: a program that may be killed at any moment cannot restore it reliably.
//! Reading while another program has the terminal would stop this one (SIGTTIN), with every fault still
//! active. So the thread first checks whether there is input, and whether this program is in the foreground.

use std::io::{BufRead, IsTerminal, stdin};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{getpgrp, tcgetpgrp};

use super::Live;

/// Pause of the check while another program has the terminal.
const FOREGROUND_POLL: Duration = Duration::from_millis(500);

/// Listens until the program ends, if standard input is a terminal.
pub(crate) fn watch(live: Arc<Live>) {
    if stdin().is_terminal() {
        // If the thread cannot be started, SIGUSR1 still works.
        let _ = thread::Builder::new().name("tribunal-keyboard".into()).spawn(move || listen(&live));
    }
}

fn listen(live: &Live) {
    let (terminal, mut line) = (stdin(), String::new());
    loop {
        let mut typed = [PollFd::new(terminal.as_fd(), PollFlags::POLLIN)];
        let Ok(1..) = poll(&mut typed, PollTimeout::NONE) else { return };
        if tcgetpgrp(&terminal) != Ok(getpgrp()) {
            thread::sleep(FOREGROUND_POLL);
            continue;
        }
        line.clear();
        match terminal.lock().read_line(&mut line) {
            Ok(1..) if line.trim() == "t" => live.dump(),
            Ok(1..) => {}
            Ok(0) | Err(_) => return, // Ctrl-D, or the terminal was closed
        }
    }
}
