//! Fuzzes the readers of all formats with mutated histories: none may panic.
//!
//! ```text
//! cargo run --release -p tribunal-checker --example fuzz_formats -- 1000000 [SEED]
//! ```
//!
//! Each round takes a seed text (the repository's recorded histories, and the short ones in every format) and
//! changes it in up to eight places: a byte is changed, a run of bytes is removed, repeated or copied from
//! another text, a token of the formats is inserted, or the end is cut off. The round reads the result in the
//! recognised format, and in a random one. A history that was read must stay the same size when it is written
//! and read again, in every format. The same arguments give the same rounds.

#![allow(clippy::print_stdout, reason = "this is a program")]

use std::panic::catch_unwind;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use tribunal_checker::formats::{self, FailedCas, Format, Options};
use tribunal_checker::generate::SplitMix64;

/// Maximum length of a seed text in bytes: a round should take microseconds.
const SEED_BYTES_MAX: usize = 1500;

/// Tokens of the formats, and edge cases of numbers and strings.
const TOKENS: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "\"",
    "\\",
    "\\u",
    "\\ud800",
    ":",
    ",",
    ";",
    "#",
    "#_",
    "#{",
    "##Inf",
    "\n",
    "\t",
    " ",
    "nil",
    "null",
    "true",
    "-",
    "-0",
    "0",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "1.5",
    "1e999",
    ":process",
    "\"process\":",
    ":nemesis",
    ":value",
    ":ok",
    "\"ret\":null",
    "\u{feff}",
    "é",
    "😀",
];

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1).map(|argument| argument.parse::<u64>().expect("a number"));
    let rounds = arguments.next().unwrap_or(100_000);
    let mut rng = SplitMix64::new(arguments.next().unwrap_or(1));
    let seeds = seeds();
    let mut tally = [0; 3];
    for round in 0..rounds {
        let text = mutated(&seeds, &mut rng);
        let format = Format::ALL[below(&mut rng, Format::ALL.len())];
        match catch_unwind(|| (try_read(&text, None), try_read(&text, Some(format)))) {
            Ok((recognised, forced)) => [recognised, forced].iter().for_each(|&what| tally[what] += 1),
            Err(_) => {
                eprintln!("round {round}, as {format}:\n{}", String::from_utf8_lossy(&text));
                return ExitCode::FAILURE;
            }
        }
    }
    let [malformed, read, empty] = tally;
    println!(
        "{rounds} texts, each read twice: {malformed} malformed, {read} histories, {empty} without operations"
    );
    ExitCode::SUCCESS
}

/// Reads a text, then writes and reads the history in every format. Returns 0 for a malformed text, 1 for a
/// history, 2 for a history without operations.
fn try_read(text: &[u8], format: Option<Format>) -> usize {
    let failed_cas = Some(FailedCas::Observe);
    let options = Options { independent: text.len().is_multiple_of(5), failed_cas, ..Options::default() };
    let Ok(reading) = formats::read(text, format, &options) else { return 0 };
    for format in Format::ALL {
        let mut written = Vec::new();
        formats::write(&mut written, &reading.history, format).expect("a vector takes everything");
        let again = formats::read(&written[..], Some(format), &Options::default())
            .map(|again| again.history.ops.len());
        assert_eq!(again, Ok(reading.history.ops.len()), "{format}: {}", String::from_utf8_lossy(&written));
    }
    if reading.history.ops.is_empty() { 2 } else { 1 }
}

fn below(rng: &mut SplitMix64, n: usize) -> usize {
    rng.below(n as u64) as usize
}

fn mutated(seeds: &[Vec<u8>], rng: &mut SplitMix64) -> Vec<u8> {
    let mut text = seeds[below(rng, seeds.len())].clone();
    for _ in 0..below(rng, 9) {
        let at = below(rng, text.len() + 1);
        let length = below(rng, 12).min(text.len() - at);
        match below(rng, 6) {
            0 if at < text.len() => text[at] = rng.next_u64() as u8,
            1 => drop(text.drain(at..at + length)),
            2 => {
                let run = text[at..at + length].repeat(below(rng, 4));
                text.splice(at..at, run);
            }
            3 => {
                let other = &seeds[below(rng, seeds.len())];
                let from = below(rng, other.len() + 1);
                let to = (from + below(rng, 80)).min(other.len());
                text.splice(at..at + length, other[from..to].iter().copied());
            }
            4 => text.truncate(at),
            _ => {
                let token = TOKENS[below(rng, TOKENS.len())];
                text.splice(at..at + length, token.bytes());
            }
        }
    }
    text
}

/// The beginnings of the recorded histories, and the short histories in every format.
fn seeds() -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("histories");
    let mut seeds = Vec::new();
    let mut directories = vec![directory];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("the histories are there") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let mut bytes = fs::read(path).expect("a readable file");
            if let Ok(reading) = formats::read(&bytes[..], None, &Options::default())
                && reading.history.ops.len() < 20
            {
                for format in Format::ALL {
                    let mut written = Vec::new();
                    formats::write(&mut written, &reading.history, format)
                        .expect("a vector takes everything");
                    seeds.push(written);
                }
            }
            bytes.truncate(SEED_BYTES_MAX);
            seeds.push(bytes);
        }
    }
    seeds.sort(); // the order of directory entries is undefined
    seeds
}
