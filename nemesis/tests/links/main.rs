//! What nodes see of their links: bytes, ends, resets and new connections, on real loopback sockets.
//!
//! That something does *not* arrive is never shown by waiting: the proxy counts what it withholds, so a test waits until
//! the bytes are known to be in the proxy's hands and then looks at the receiver.

mod attributed;
mod cuts;
mod degraded;
mod pair;
