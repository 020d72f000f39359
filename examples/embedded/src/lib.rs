//! Empty: `tests/trials.rs` shows how a program runs trials with the library.
