//! `t` and enter, typed at the terminal, ask how the run is doing, as SIGUSR1 does.
//!
//! The terminal stays as it is, lines and echo included: a program that can be killed at any moment, and is meant to be, cannot
//! promise to put it back. Nor may it read while another program has the terminal: that would stop it (SIGTTIN), with every
//! fault in force. So it looks first whether something was typed, and for whom.

use std::io::{BufRead, IsTerminal, stdin};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{getpgrp, tcgetpgrp};

use super::Live;

/// How long nobody looks for what was typed while another program has the terminal.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Listens until the program ends, if standard input is a terminal.
pub(crate) fn watch(live: Arc<Live>) {
    if stdin().is_terminal() {
        // Without a thread nobody listens: there is still SIGUSR1.
        let _ = thread::Builder::new().name("tribunal-keyboard".into()).spawn(move || listen(&live));
    }
}

fn listen(live: &Live) {
    let (terminal, mut line) = (stdin(), String::new());
    loop {
        let mut typed = [PollFd::new(terminal.as_fd(), PollFlags::POLLIN)];
        let Ok(1..) = poll(&mut typed, PollTimeout::NONE) else { return };
        if tcgetpgrp(&terminal) != Ok(getpgrp()) {
            thread::sleep(LOOK_AGAIN);
            continue;
        }
        line.clear();
        match terminal.lock().read_line(&mut line) {
            Ok(1..) if line.trim() == "t" => live.dump(),
            Ok(1..) => {}
            Ok(0) | Err(_) => return, // Ctrl-D, or the terminal has gone away
        }
    }
}
