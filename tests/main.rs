//! End-to-end tests: the real binary, with real processes and real faults.

mod abuse;
mod bad_input;
mod boxes;
mod browser;
mod check;
mod clients;
mod disks;
mod documented;
mod ending;
mod etcd;
mod foreign;
mod full_disk;
mod matrix;
mod namespaces;
mod oracles;
mod own_system;
mod printed_commands;
mod processes;
mod program;
mod released;
mod reports;
mod schedules;
mod upkeep;
mod verdicts;
mod workloads;
