//! Five classic flawed designs.
//!
//! Each works while nothing fails, is written as its authors would write it, and breaks one rule. Its module
//! names the rule and how the violation shows. All use the server of [`crate::rpc`].
//!
//! ```text
//!   primary_backup      a primary that answers before any backup has the change
//!   two_primaries       failover by silence: two nodes that each believe themselves the primary
//!   last_id             order numbers by read, add one, write
//!   ttl_lock            a lock that expires, without fencing tokens
//!   two_phase_commit    commitment without recovery
//! ```

pub(crate) mod last_id;
pub(crate) mod primary_backup;
pub(crate) mod ttl_lock;
pub(crate) mod two_phase_commit;
pub(crate) mod two_primaries;
