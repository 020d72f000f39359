//! What nodes see of their links: bytes, ends, resets and new connections, on real loopback sockets.
//!
//! No test waits to show that something does *not* arrive. The proxy counts what it withholds, so a test
//! waits until the proxy has the bytes, and then checks the receiver.

mod attributed;
mod cuts;
mod degraded;
mod pair;
