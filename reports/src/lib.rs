//! A run directory in, reports out.

pub mod coverage;
pub mod faults;
pub mod judgement;
pub mod run_info;
pub mod stats;
pub mod wording;
