//! Options of Raft nodes only.

use std::time::Duration;

/// The options of a Raft node.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Answer reads under a leader lease, without asking the others: right as long as no clock is further off
    /// than --clock-drift says
    #[arg(long)]
    pub(crate) lease: bool,
    /// With --lease: how much faster or slower than the truth a clock may run, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 5, value_parser = clap::value_parser!(u8).range(0..=90))]
    pub(crate) clock_drift: u8,
}

impl Default for Options {
    fn default() -> Self {
        Options { lease: false, clock_drift: 5 }
    }
}

impl Options {
    /// The lease for a promise that lasts `promised` on the clock of the node that gave it. If that clock is
    /// fast by the drift d, the promise really lasts promised / (1 + d); if the leader's clock is slow, it
    /// measures 1 - d of that.
    pub(super) fn lease_for(&self, promised: Duration) -> Duration {
        let drift = f64::from(self.clock_drift) / 100.0;
        promised.mul_f64((1.0 - drift) / (1.0 + drift))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_before_the_promise_even_if_both_clocks_are_at_their_worst() {
        let promised = Duration::from_millis(150);
        for clock_drift in [0, 5, 30, 90] {
            let lease = Options { clock_drift, ..Options::default() }.lease_for(promised);
            let drift = f64::from(clock_drift) / 100.0;
            let (lease_ends, promise_ends) = (lease.div_f64(1.0 - drift), promised.div_f64(1.0 + drift));
            assert!(lease_ends <= promise_ends + Duration::from_nanos(10), "{clock_drift} %");
            assert!(
                lease_ends + Duration::from_micros(1) > promise_ends,
                "{clock_drift} %: not shorter than need be"
            );
        }
    }
}
