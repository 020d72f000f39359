//! The command line of a node of these systems.

use clap::ValueEnum;

use crate::process::Place;

/// The options of every such node, and those of its system.
#[derive(Clone, Debug, clap::Args)]
pub struct NodeArgs<Bug: ValueEnum + Send + Sync + 'static, Options: clap::Args = ()> {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) options: Options,
    /// Make this mistake on purpose; may be given several times.
    #[arg(long = "bug", value_name = "NAME")]
    pub(crate) bugs: Vec<Bug>,
}
