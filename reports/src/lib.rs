//! A run directory in, reports out.

pub mod coverage;
pub mod faults;
pub mod histories;
pub mod html;
pub mod judgement;
pub mod junit;
pub mod markdown;
pub mod node_logs;
pub mod palette;
pub mod picture;
pub mod plots;
pub mod render;
pub mod run_dir;
pub mod run_info;
pub mod stats;
pub mod summary;
pub mod text;
pub mod trace;
pub mod wording;
