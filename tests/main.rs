//! Whole-program tests: the binary as its user runs it, with real processes and real faults.

mod bad_input;
mod check;
mod ending;
mod processes;
mod program;
mod reports;
mod schedules;
mod verdicts;
