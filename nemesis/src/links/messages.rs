//! Where the messages of an unknown protocol end, as far as their lengths tell.
//!
//! A sender that writes several messages at once hides what happens between them. To deliver them one at a
//! time, a link has to tell them apart. Most protocols write the length of a message before it, or end it
//! with a line break. If the bytes of one read consist of whole messages by one of these rules, that is no
//! accident.

/// How a message begins: bytes before its length, bytes of the length, whether the lowest comes first, and
/// further bytes of the header that the length does not count.
type Header = (usize, usize, bool, usize);

const HEADERS: [Header; 5] = [
    (0, 4, false, 0),
    (0, 4, true, 0),
    (0, 8, false, 0),
    // HTTP/2, and so gRPC: RFC 9113, section 4.1.
    (0, 3, false, 6),
    // gRPC's own: a flag and a length.
    (1, 4, false, 0),
];

/// The lengths of the messages, if these bytes are two or more whole ones; otherwise one length for all.
pub(crate) fn lengths(bytes: &[u8]) -> Vec<usize> {
    let by_header = HEADERS.iter().find_map(|header| whole(bytes, |rest| with_header(rest, *header)));
    by_header.or_else(|| whole(bytes, line)).unwrap_or_else(|| vec![bytes.len()])
}

/// The lengths of all messages, if `first` finds one at each end of another, and there are at least two.
fn whole(bytes: &[u8], first: impl Fn(&[u8]) -> Option<usize>) -> Option<Vec<usize>> {
    let (mut lengths, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let length = first(rest).filter(|length| (1..=rest.len()).contains(length))?;
        lengths.push(length);
        rest = &rest[length..];
    }
    (lengths.len() > 1).then_some(lengths)
}

fn with_header(bytes: &[u8], (before, size, lowest_first, more): Header) -> Option<usize> {
    let field = bytes.get(before..before + size)?.iter();
    let add = |sum: usize, byte: &u8| sum.checked_mul(256)?.checked_add(usize::from(*byte));
    let length = if lowest_first { field.rev().try_fold(0, add)? } else { field.clone().try_fold(0, add)? };
    // An empty message is as likely a run of zeros.
    (length > 0).then(|| (before + size + more).checked_add(length)).flatten()
}

/// A line. Protocols with `\r\n` write several of them for one message.
fn line(bytes: &[u8]) -> Option<usize> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    (end == 0 || bytes[end - 1] != b'\r').then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(size: usize, lowest_first: bool, messages: &[&[u8]]) -> Vec<u8> {
        let one = |message: &&[u8]| {
            let mut length = (message.len() as u64).to_be_bytes()[8 - size..].to_vec();
            if lowest_first {
                length.reverse();
            }
            [&length, *message].concat()
        };
        messages.iter().flat_map(one).collect()
    }

    #[test]
    fn whole_messages_are_told_apart_by_their_lengths() {
        let messages: [&[u8]; 3] = [b"append 1", b"heartbeat", b"vote"];
        assert_eq!(lengths(&framed(4, false, &messages)), [12, 13, 8]);
        assert_eq!(lengths(&framed(4, true, &messages)), [12, 13, 8]);
        assert_eq!(lengths(&framed(8, false, &messages)), [16, 17, 12]);
        assert_eq!(lengths(b"{\"a\":1}\n{\"b\":22}\n"), [8, 9]);
        // Two frames of HTTP/2, with type, flags and stream.
        assert_eq!(lengths(b"\0\0\x02\0\0\0\0\0\x01hi\0\0\x01\0\0\0\0\0\x01x"), [11, 10]);
        // Two messages of gRPC, with a flag.
        assert_eq!(lengths(b"\0\0\0\0\x02hi\0\0\0\0\x01x"), [7, 6]);
    }

    #[test]
    fn other_bytes_stay_together() {
        let cut_short = framed(4, false, &[b"append 1", b"heartbeat"]);
        let cut_short = &cut_short[..cut_short.len() - 1];
        for bytes in [cut_short, b"", b"x", &[0; 64], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &[255; 40]] {
            assert_eq!(lengths(bytes), [bytes.len()], "{bytes:?}");
        }
    }
}
