//! Queries the kernel about TCP sockets: the socket at the other end of a connection, and the list of all
//! sockets.
//!
//! The protocol is netlink's `NETLINK_SOCK_DIAG` (man 7 sock_diag, `linux/inet_diag.h`), which `ss` uses: a
//! request of 72 bytes, and a response of at least as many for every socket. It needs no privileges. A query
//! for one socket by its four-tuple takes some microseconds, regardless of the number of sockets;
//! `/proc/net/tcp` would take milliseconds.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};

/// A TCP socket as the kernel sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TcpEnd {
    /// An IPv4 address even if the socket is an IPv6 one that uses IPv4 (`::ffff:127.0.0.1`).
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) listens: bool,
    /// Inode of the socket, as in `/proc/PID/fd`; 0 if no process has the socket, or has accepted it yet.
    pub(crate) inode: u64,
    /// The user whose process created the socket.
    pub(crate) uid: u32,
    /// The cgroup (of version 2) in which the socket was created, if the kernel records it.
    pub(crate) cgroup: Option<u64>,
}

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const AF_NETLINK: i32 = 16;
const NETLINK_SOCK_DIAG: i32 = 4;
const IPPROTO_TCP: u8 = 6;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER: usize = 16;
const ENOENT: i32 = 2;
const TIME_WAIT: u8 = 6;
const LISTEN: u8 = 10;
/// The wanted states, one bit each: all except closed connections.
const ALL_STATES: u32 = !(1 << TIME_WAIT);
/// The length of `struct inet_diag_msg`; attributes follow it.
const MESSAGE: usize = 72;
const INET_DIAG_CGROUP_ID: u16 = 21;

/// Time limit of a response. The kernel responds at once or not at all.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The socket with the address `local` that is connected to `remote`; `None` if there is none (any more).
pub(crate) fn find(local: SocketAddr, remote: SocketAddr) -> io::Result<Option<TcpEnd>> {
    // If no connection matches, the kernel returns a matching listener.
    Ok(one(local, remote)?.filter(|end| !end.listens))
}

/// The socket that would accept a connection to this address; `None` if no process listens there.
pub(crate) fn listener(address: SocketAddr) -> io::Result<Option<TcpEnd>> {
    let unspecified = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    Ok(one(address, unspecified)?.filter(|end| end.listens))
}

fn one(local: SocketAddr, remote: SocketAddr) -> io::Result<Option<TcpEnd>> {
    let mut found = None;
    match query(AF_INET, NLM_F_REQUEST, ALL_STATES, Some((local, remote)), |end| found = Some(end)) {
        Ok(()) => Ok(found),
        Err(error) if error.raw_os_error() == Some(ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// All TCP sockets of the network namespace, except closed ones.
pub(crate) fn all() -> io::Result<Vec<TcpEnd>> {
    dump(ALL_STATES)
}

/// All listening sockets. The kernel keeps them in a small table. All others are in a table whose size
/// depends on the machine's memory; searching that takes a hundred times as long.
pub(crate) fn listening() -> io::Result<Vec<TcpEnd>> {
    dump(1 << LISTEN)
}

fn dump(states: u32) -> io::Result<Vec<TcpEnd>> {
    let mut ends = Vec::new();
    for family in [AF_INET, AF_INET6] {
        query(family, NLM_F_REQUEST | NLM_F_DUMP, states, None, |end| ends.push(end))?;
    }
    Ok(ends)
}

fn query(
    family: u8,
    flags: u16,
    states: u32,
    which: Option<(SocketAddr, SocketAddr)>,
    mut each: impl FnMut(TcpEnd),
) -> io::Result<()> {
    let socket = Socket::new(Domain::from(AF_NETLINK), Type::DGRAM, Some(Protocol::from(NETLINK_SOCK_DIAG)))?;
    socket.set_read_timeout(Some(RESPONSE_TIMEOUT))?;
    (&socket).write_all(&request(family, flags, states, which))?;
    let mut buffer = vec![0; 32 << 10];
    loop {
        let length = (&socket).read(&mut buffer)?;
        let mut rest = &buffer[..length];
        while let Some((kind, body, after)) = split_message(rest) {
            match kind {
                NLMSG_DONE => return Ok(()),
                NLMSG_ERROR => {
                    return Err(io::Error::from_raw_os_error(-i32::from_ne_bytes(bytes(body, 0)?)));
                }
                _ => each(parse(body)?),
            }
            rest = after;
        }
        if flags & NLM_F_DUMP == 0 {
            return Ok(());
        }
    }
}

/// `struct nlmsghdr`, then `struct inet_diag_req_v2`.
fn request(family: u8, flags: u16, states: u32, which: Option<(SocketAddr, SocketAddr)>) -> Vec<u8> {
    let mut message = Vec::with_capacity(72);
    message.extend(72u32.to_ne_bytes());
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]); // sequence number and port, unused
    message.extend([family, IPPROTO_TCP, 0, 0]);
    message.extend(states.to_ne_bytes());
    let ends = which.map(|(local, remote)| [local, remote]);
    let port = |end: usize| ends.map_or(0, |ends| ends[end].port()).to_be_bytes();
    message.extend([port(0), port(1)].concat());
    for end in 0..2 {
        let mut address = [0; 16];
        match ends.map(|ends| ends[end].ip().to_canonical()) {
            Some(IpAddr::V4(v4)) => address[..4].copy_from_slice(&v4.octets()),
            Some(IpAddr::V6(v6)) => address = v6.octets(),
            None => {}
        }
        message.extend(address);
    }
    message.extend([0; 4]); // any interface
    message.extend([0xff; 8]); // any cookie
    message
}

/// The first message: its type, its body, and the bytes after it.
fn split_message(from: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(from.get(..4)?.try_into().ok()?) as usize;
    let kind = u16::from_ne_bytes(from.get(4..6)?.try_into().ok()?);
    let body = from.get(HEADER..length)?;
    Some((kind, body, from.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// `struct inet_diag_msg`: four bytes, the sockid of 48 bytes, five numbers of four bytes.
fn parse(body: &[u8]) -> io::Result<TcpEnd> {
    let [family, state] = bytes(body, 0)?;
    let end = |port_at, address_at| -> io::Result<SocketAddr> {
        let ip = match family {
            AF_INET => IpAddr::V4(Ipv4Addr::from(bytes::<4>(body, address_at)?)),
            _ => IpAddr::V6(Ipv6Addr::from(bytes::<16>(body, address_at)?)).to_canonical(),
        };
        Ok(SocketAddr::from((ip, u16::from_be_bytes(bytes(body, port_at)?))))
    };
    Ok(TcpEnd {
        local: end(4, 8)?,
        remote: end(6, 24)?,
        listens: state == LISTEN,
        inode: u32::from_ne_bytes(bytes(body, 68)?).into(),
        uid: u32::from_ne_bytes(bytes(body, 64)?),
        cgroup: attribute(body, INET_DIAG_CGROUP_ID)
            .and_then(|value| Some(u64::from_ne_bytes(bytes(value, 0).ok()?))),
    })
}

/// An attribute after the message: `struct nlattr` (its length including these four bytes, its type), its
/// value.
fn attribute(body: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = body.get(MESSAGE..)?;
    loop {
        let length = usize::from(u16::from_ne_bytes(bytes(rest, 0).ok()?));
        let kind = u16::from_ne_bytes(bytes(rest, 2).ok()?);
        let value = rest.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

fn bytes<const N: usize>(body: &[u8], at: usize) -> io::Result<[u8; N]> {
    let bytes = body.get(at..at + N).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| io::Error::other("a netlink message ends too early"))
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        os::fd::AsRawFd,
    };

    use super::*;

    fn inode(of: &impl AsRawFd) -> u64 {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", of.as_raw_fd())).expect("Linux");
        let link = link.to_string_lossy().into_owned();
        link.trim_start_matches("socket:[").trim_end_matches(']').parse().expect("socket:[N]")
    }

    #[test]
    fn the_other_end_is_found_until_it_is_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback listener");
        let address = listener.local_addr().expect("bound");
        // Also from an IPv6 socket that uses IPv4, as Java's sockets do.
        for dialled in
            [address, format!("[::ffff:127.0.0.1]:{}", address.port()).parse().expect("an address")]
        {
            let dialler = TcpStream::connect(dialled).expect("somebody listens");
            let (accepted, from) = listener.accept().expect("a connection");
            let found = find(from, address).expect("the kernel answers").expect("it is there");
            assert_eq!((found.local, found.remote, found.listens), (from, address, false));
            assert_eq!(found.inode, inode(&dialler));
            drop((dialler, accepted));
            let left = find(from, address).expect("the kernel answers").map(|end| end.inode);
            assert!(left.is_none_or(|inode| inode == 0), "{left:?}");
        }
    }

    #[test]
    fn a_listener_is_found_on_any_address() {
        for at in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
            let Ok(listening) = TcpListener::bind(at) else { continue }; // no IPv6 here
            let port = listening.local_addr().expect("bound").port();
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let _dialler = TcpStream::connect(address).expect("somebody listens");
            let found = listener(address).expect("the kernel answers").expect("it is there");
            assert_eq!(found.inode, inode(&listening), "{at}");
            drop(listening);
            assert_eq!(listener(address).expect("the kernel answers"), None, "{at}");
        }
    }

    #[test]
    fn all_sockets_include_the_listeners() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback listener");
        let address = listener.local_addr().expect("bound");
        let _dialler = TcpStream::connect(address).expect("somebody listens");
        let at = |ends: io::Result<Vec<TcpEnd>>| {
            let mut ends = ends.expect("the kernel answers");
            ends.retain(|end| end.local == address);
            ends
        };
        let found = at(listening());
        assert!(found.len() == 1 && found[0].listens && found[0].inode == inode(&listener), "{found:?}");
        let all = at(all());
        assert!(
            all.contains(&found[0]) && all.len() == 2,
            "what waits to be accepted is there, too: {all:?}"
        );
    }

    #[test]
    fn truncated_messages_are_errors() {
        for length in 0..MESSAGE {
            assert!(parse(&[0; MESSAGE][..length]).is_err());
        }
        let mut attributes = vec![0; MESSAGE];
        attributes.extend([5, 0, 8, 0, 1, 0, 0, 0]); // an attribute of one byte, padded
        attributes.extend([12, 0, 21, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(parse(&attributes).expect("a socket").cgroup, Some(7));
        for length in MESSAGE..attributes.len() {
            assert_eq!(parse(&attributes[..length]).expect("a socket").cgroup, None, "{length}");
        }
        assert!(split_message(&[0; 8]).is_none());
    }
}
