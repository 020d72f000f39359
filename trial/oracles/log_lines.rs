//! Log lines that no correct node writes, whatever its language.

/// Texts that runtimes and sanitizers print when a program is broken. A text counts at any place in a line.
const ANYWHERE: &[&str] = &[
    // Rust
    "' panicked at ",
    // Go
    "panic: runtime error",
    "fatal error: all goroutines are asleep",
    "WARNING: DATA RACE",
    // C and C++
    "Assertion `",
    "Assertion failed",
    "terminate called after throwing",
    "*** stack smashing detected ***",
    "double free or corruption",
    "malloc(): corrupted",
    "ERROR: AddressSanitizer",
    "ERROR: LeakSanitizer",
    "WARNING: ThreadSanitizer",
    "WARNING: MemorySanitizer",
    "UndefinedBehaviorSanitizer",
    // Java
    "java.lang.AssertionError",
    "java.lang.OutOfMemoryError",
    "# A fatal error has been detected by the Java Runtime Environment",
    // Logs with levels, as JSON
    "\"level\":\"fatal\"",
    "\"level\":\"panic\"",
    "\"level\":\"dpanic\"",
];

/// Texts that count only at the start of a line: elsewhere they are talk.
const AT_START: &[&str] =
    &["panic: ", "fatal error: ", "FATAL: ", "FATAL ERROR", "Segmentation fault", "AssertionError"];

/// Whether no correct node writes this line.
pub(super) fn is_fatal(line: &str) -> bool {
    AT_START.iter().any(|text| line.starts_with(text)) || ANYWHERE.iter().any(|text| line.contains(text))
}

#[cfg(test)]
mod tests {
    use super::is_fatal;

    #[test]
    fn broken_programs_are_told_from_talk() {
        for line in [
            "thread 'main' panicked at src/main.rs:7:5:",
            "panic: runtime error: index out of range [3] with length 3",
            "panic: unexpected removal of unknown remote peer",
            "fatal error: concurrent map writes",
            "WARNING: DATA RACE",
            "==1==ERROR: AddressSanitizer: heap-use-after-free on address 0x602",
            "server: raft.c:77: append: Assertion `index > 0' failed.",
            r#"{"level":"fatal","ts":"2026-01-01","msg":"failed to recover"}"#,
            "Exception in thread \"main\" java.lang.AssertionError: term went back",
        ] {
            assert!(is_fatal(line), "{line}");
        }
        for line in [
            "no panic: the leader is back",
            r#"{"level":"info","experimental-initial-corrupt-check":false}"#,
            r#"{"level":"warn","msg":"failed to reach the peer: fatal error: none"}"#,
            "cut a torn tail of 12 bytes at byte 900 of the log",
            "0 fatal errors so far",
        ] {
            assert!(!is_fatal(line), "{line}");
        }
    }
}
