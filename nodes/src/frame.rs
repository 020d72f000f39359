//! Messages between nodes: a checksum and a postcard body, in length-delimited frames.
//!
//! TCP's own checksum is weak, and a link under test may flip bits.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A frame: the checksum of the encoding, then the encoding.
pub(crate) fn encode(frame: &impl Serialize) -> Bytes {
    let body = postcard::to_stdvec(frame).expect("frames hold only what postcard can write");
    let mut bytes = BytesMut::with_capacity(4 + body.len());
    bytes.put_u32(crc32fast::hash(&body));
    bytes.put_slice(&body);
    bytes.freeze()
}

/// Decodes a frame; the error says what is wrong with it.
pub(crate) fn decode<T: DeserializeOwned>(mut bytes: BytesMut) -> Result<T, &'static str> {
    let sum = bytes.try_get_u32().map_err(|_| "a frame is too short")?;
    if sum != crc32fast::hash(&bytes) {
        return Err("a checksum is wrong");
    }
    postcard::from_bytes(&bytes).map_err(|_| "a frame cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_is_noticed() {
        let bytes = encode(&"hello");
        assert_eq!(decode::<String>(BytesMut::from(&bytes[..])), Ok("hello".into()));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = BytesMut::from(&bytes[..]);
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode::<String>(flipped).is_err(), "bit {bit}");
        }
        assert!(decode::<String>(BytesMut::new()).is_err());
    }
}
