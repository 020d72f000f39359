//! The lines at the bottom of a terminal that are kept up to date, below events that scroll.

use std::io::Write;
use std::time::{Duration, Instant};

/// The shortest time between two updates of the lines.
const INTERVAL: Duration = Duration::from_millis(100);

/// A line that is wider than the terminal is cut by the terminal: if it were wrapped, [`Screen::erase`] would count wrong.
const WRAP_OFF: &str = "\x1b[?7l";
const WRAP_ON: &str = "\x1b[?7h";

/// The lines that are shown, and where.
pub(super) struct Screen<W> {
    terminal: W,
    lines: Vec<String>,
    drawn: Option<Instant>,
}

impl<W: Write> Screen<W> {
    pub(super) fn new(terminal: W) -> Self {
        Screen { terminal, lines: Vec::new(), drawn: None }
    }

    /// Whether the last update is long enough ago for another one.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.drawn.is_none_or(|drawn| now.saturating_duration_since(drawn) >= INTERVAL)
    }

    /// Shows these lines in place of the last ones.
    pub(super) fn show(&mut self, lines: Vec<String>, now: Instant) {
        let erase = self.erase();
        self.lines = lines;
        self.drawn = Some(now);
        self.write(&format!("{erase}{}", self.drawing()));
    }

    /// Prints permanent lines above the others.
    pub(super) fn print(&mut self, lines: &[String]) {
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.write(&format!("{}{lines}{}", self.erase(), self.drawing()));
    }

    /// Removes the lines for good.
    pub(super) fn clear(&mut self) {
        let erase = self.erase();
        self.lines.clear();
        self.write(&erase);
    }

    fn erase(&self) -> String {
        match self.lines.len() {
            0 => String::new(),
            drawn => format!("\x1b[{drawn}F\x1b[J"),
        }
    }

    fn drawing(&self) -> String {
        let lines: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        if lines.is_empty() { lines } else { format!("{WRAP_OFF}{lines}{WRAP_ON}") }
    }

    /// In one piece, so that nothing is seen half drawn. Errors are ignored: they must not stop the run.
    fn write(&mut self, text: &str) {
        drop(self.terminal.write_all(text.as_bytes()).and_then(|()| self.terminal.flush()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(String::from).collect()
    }

    #[test]
    fn events_scroll_above_the_lines_and_nothing_stays_at_the_end() {
        let mut terminal = Vec::new();
        let mut screen = Screen::new(&mut terminal);
        let now = Instant::now();
        assert!(screen.is_due(now));
        screen.show(lines("a\nb"), now);
        assert!(!screen.is_due(now) && screen.is_due(now + INTERVAL));
        screen.print(&lines("event"));
        screen.show(lines("c\nd"), now);
        screen.clear();
        screen.print(&lines("verdict"));
        let erase = "\x1b[2F\x1b[J";
        let (ab, cd) = ("\x1b[?7la\nb\n\x1b[?7h", "\x1b[?7lc\nd\n\x1b[?7h");
        let wanted = format!("{ab}{erase}event\n{ab}{erase}{cd}{erase}verdict\n");
        assert_eq!(String::from_utf8(terminal).unwrap(), wanted);
    }
}
