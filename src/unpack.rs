//! Reads gzip-compressed histories transparently.
//!
//! One megabyte may expand to a thousand. The expanded size is limited, so that a compressed file cannot use
//! more memory than an uncompressed one.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

/// First bytes of a gzip file.
const MAGIC: &[u8] = b"\x1f\x8b";

/// Maximum expanded size.
const BYTES_MAX: u64 = 1 << 30;

/// The input itself, or its decompressed contents.
///
/// # Errors
/// When its first bytes cannot be read.
pub(crate) fn unpacked<'a>(mut input: impl BufRead + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    Ok(match input.fill_buf()?.starts_with(MAGIC) {
        false => Box::new(input),
        true => Box::new(BufReader::new(Unpacked { from: MultiGzDecoder::new(input), left: BYTES_MAX })),
    })
}

/// Decompressed contents, up to the maximum size.
struct Unpacked<R> {
    from: R,
    left: u64,
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let damaged = |error: io::Error| io::Error::new(error.kind(), "gzip that is damaged or breaks off");
        let read = self.from.read(buffer).map_err(damaged)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            let why =
                format!("more than the {} MiB that are unpacked: unpack it to a file first", BYTES_MAX >> 20);
            io::Error::new(io::ErrorKind::FileTooLarge, why)
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(text).expect("a vector takes everything");
        packer.finish().expect("a vector takes everything")
    }

    fn all(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        unpacked(bytes)?.read_to_end(&mut all).map(|_| all)
    }

    #[test]
    fn compressed_input_is_expanded_and_other_input_unchanged() {
        assert_eq!(all(b"plain").unwrap(), b"plain");
        assert_eq!(all(&[packed(b"in two "), packed(b"parts")].concat()).unwrap(), b"in two parts");
        let whole = packed(&[b'x'; 1000]);
        let said = all(&whole[..whole.len() - 9]).unwrap_err().to_string();
        assert_eq!(said, "gzip that is damaged or breaks off");
    }

    #[test]
    fn endless_input_is_an_error() {
        let mut endless = Unpacked { from: io::repeat(b'x'), left: 100 };
        let said = io::copy(&mut endless, &mut io::sink()).unwrap_err().to_string();
        assert!(said.starts_with("more than the 1024 MiB"), "{said}");
    }
}
