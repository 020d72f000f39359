//! Systems that fail by design: what people build before they know.
//!
//! Each works while nothing goes wrong, is written as its authors would write it, and breaks one rule, which its module
//! names together with how the breach shows. They share the server of [`crate::rpc`].
//!
//! ```text
//!   primary_backup      a primary that answers before any backup knows
//!   two_primaries       failover by silence: two nodes that each believe to be the primary
//!   last_id             order numbers by read, add one, write
//!   ttl_lock            a lock that expires, without fencing tokens
//!   two_phase_commit    commitment without recovery
//! ```

pub(crate) mod last_id;
pub(crate) mod primary_backup;
pub(crate) mod ttl_lock;
pub(crate) mod two_phase_commit;
pub(crate) mod two_primaries;
