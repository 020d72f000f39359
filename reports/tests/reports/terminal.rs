//! The report on the terminal.

use tribunal_reports::text::{LINES_MAX, render_within};

use crate::scene::{Stage, names};

/// However long the evidence is, the operations and the faults have their lines, and no block is cut.
#[test]
fn every_report_has_its_figures() {
    for name in names() {
        let stage = Stage::of(&name);
        let run = stage.run();
        for width in [60, 80, 100] {
            let text = render_within(&run, width);
            assert!(text.lines().count() <= LINES_MAX, "{name}:\n{text}");
            assert!(text.contains("\n  ops      "), "{name} at {width}:\n{text}");
            if run.evidence.faults.iter().any(|fault| fault.was_in_force()) {
                assert!(text.contains("\n  faults   "), "{name} at {width}:\n{text}");
            }
            let wide = text.lines().filter(|line| line.chars().count() > width);
            // Paths and commands are copied.
            let mut wide = wide.filter(|line| !line.contains("tribunal ") && !line.contains("store/"));
            assert_eq!(wide.next(), None, "{name} at {width}:\n{text}");
        }
    }
}
