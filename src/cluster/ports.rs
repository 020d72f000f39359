//! Ports that are really free, and stay free.
//!
//! Asking the kernel for port 0 gives a port of the ephemeral range: the moment a node is down, any outgoing
//! connection of this machine may take it, and the node cannot come back. So ports are drawn from below that
//! range, each tried by binding it; all are held until the whole set is found.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Result, bail};
use rand::RngExt;

/// Ports below this one belong to well-known services.
const LOWEST: u16 = 10_000;

/// Tries that may fail before the search is given up.
const TRIES_MAX: usize = 10_000;

/// This many loopback addresses that nobody listens on.
pub(crate) fn allot(count: usize) -> Result<Vec<SocketAddr>> {
    let range = LOWEST..ephemeral_start();
    let mut held: Vec<TcpListener> = Vec::with_capacity(count);
    for _ in 0..TRIES_MAX {
        if held.len() == count {
            break;
        }
        let port = rand::rng().random_range(range.clone());
        held.extend(TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
    }
    if held.len() < count {
        bail!("found only {} of {count} free ports in {}..{}", held.len(), range.start, range.end);
    }
    Ok(held.iter().map(|listener| listener.local_addr()).collect::<std::io::Result<_>>()?)
}

/// Where the kernel starts to take ports for outgoing connections.
fn ephemeral_start() -> u16 {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let start = text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(32_768);
    start.max(LOWEST + 1_000)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn allots_distinct_ports_that_can_be_bound() {
        let addresses = allot(40).unwrap();
        assert_eq!(addresses.iter().collect::<HashSet<_>>().len(), 40);
        for address in addresses {
            TcpListener::bind(address).unwrap();
        }
    }
}
