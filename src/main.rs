//! Tribunal: puts a distributed system on trial.

fn main() {}
