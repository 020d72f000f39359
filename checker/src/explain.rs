//! From a part that is not linearizable to the evidence that people can follow.

mod moves;
#[cfg(test)]
mod sample;
mod shrink;
