//! Values that would do harm if they were not escaped.

use std::fs;

use tribunal_reports::render::{RENDERERS, render_all};
use tribunal_reports::text;

use crate::scene::Stage;

const MARKUP: &str = "</script></style></title>--><img src=x onerror=alert(1)><svg onload=alert(2)>";
const TERMINAL: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}";

/// A violation in which every value that a system can choose is hostile.
fn stage() -> Stage {
    let json = |text: &str| serde_json::to_string(text).unwrap();
    let evil = json(&format!("{MARKUP}{TERMINAL}"));
    let long = json(&"x".repeat(1_000_000));
    let script = format!(
        "run workload {evil}
         run system {evil}
         run model {evil}
         run started_utc {evil}
         run os {evil}
         run args [\"run\", {evil}]
         run spec {{\"workload\": {evil}, \"bug\": [{evil}]}}
         run bugs [{evil}]
         run nemesis [{evil}]
         w: p0 {evil} write {evil} | 1.000 ok 1.010 @{MARKUP_WORD} : {MARKUP}{TERMINAL}
         l: p1 {evil} write {long} | 1.001 info 1.009 : {long}
         r: p2 {evil} {MARKUP_WORD} | 1.020 ok 1.030 = {evil}
         fault {MARKUP_WORD} {MARKUP_WORD} {MARKUP_WORD} | 0.500 installed 1.500 | {MARKUP}{TERMINAL}
         log n1 | 1.015 {MARKUP}{TERMINAL}
         violation r {MARKUP_WORD} | {MARKUP}{TERMINAL} {long}
         minimal w r
         order w
         context l
         before {MARKUP}{TERMINAL}
         cannot l r | {MARKUP} | {MARKUP}{TERMINAL}
         configuration {MARKUP} | 1 of 2 | w | l
         explains no | {MARKUP}? | {MARKUP}
         harness {MARKUP} | {MARKUP}{TERMINAL}",
        MARKUP_WORD = MARKUP.replace(' ', "/"),
    );
    let stage = Stage::from_script(&script);
    let mut log = fs::read(stage.dir.path().join("nodes/n1.log")).unwrap();
    log.extend(b"1.016 \xff\xfe\x00 not UTF-8\n1.017 ");
    log.extend(vec![b'y'; 1_000_000]);
    fs::write(stage.dir.path().join("nodes/n1.log"), log).unwrap();
    stage
}

#[test]
fn no_markup_gets_through() {
    let stage = stage();
    for (file, result) in render_all(&stage.run(), stage.dir.path()) {
        result.unwrap_or_else(|why| panic!("{file}: {why}"));
    }
    let page = fs::read_to_string(stage.dir.path().join("report.html")).unwrap();
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;"), "the value is shown, escaped");
    assert_eq!(
        page.matches("<img ").count(),
        page.matches("<img width=\"900\"").count(),
        "only plots are images"
    );
    assert_eq!(page.matches("<script").count(), 4, "the data and three scripts");
    assert_eq!(page.matches("</script").count(), 4);
    assert_eq!(page.matches("<style").count(), 2, "of the page, and of the switches of its logs");
    for tag in ["<svg onload", "<svg/onload", "<img/src"] {
        assert!(!page.contains(tag), "{tag}");
    }
    for plot in ["latency-raw", "latency-quantiles", "rate"] {
        let svg = fs::read_to_string(stage.dir.path().join(format!("plots/{plot}.svg"))).unwrap();
        assert!(
            !svg.contains("<img") && !svg.contains("<script") && !svg.contains("</style></title>"),
            "{plot}"
        );
    }
}

#[test]
fn no_control_character_gets_through() {
    let run = stage().run();
    // Histories are data: they contain the values as recorded. Pixels are no text.
    let is_data =
        |name: &str| name == "history.edn" || name.starts_with("counterexample") || name.ends_with(".png");
    for renderer in RENDERERS.iter().filter(|renderer| !is_data(renderer.name)) {
        let bytes = (renderer.render)(&run);
        let text = String::from_utf8(bytes).unwrap_or_else(|_| panic!("{} is not UTF-8", renderer.name));
        let control = text.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(control, None, "{}", renderer.name);
    }
}

#[test]
fn a_value_of_a_megabyte_is_cut() {
    let run = stage().run();
    let text = text::render(&run);
    assert!(text.lines().count() <= text::LINES_MAX);
    // Paths and commands are made to be copied; everything else fits the terminal.
    for line in text.lines().filter(|line| !line.starts_with("  re") && !line.trim_start().starts_with("--"))
    {
        assert!(line.chars().count() <= text::WIDTH, "{line}");
    }
    let page = tribunal_reports::html::render(&run);
    assert!(page.len() < 500_000, "{} bytes", page.len());
}

/// Only one file lets text reach a page unescaped, and the script never turns text into markup.
#[test]
fn there_is_one_place_where_text_is_not_escaped() {
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![sources];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = fs::read_to_string(&path).unwrap();
            let raw = path.ends_with("html/raw.rs");
            assert!(raw || !source.contains("PreEscaped"), "{}", path.display());
            for maker in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                assert!(!source.contains(maker), "{}: {maker}", path.display());
            }
        }
    }
}
