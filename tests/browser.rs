//! The report and the list of runs in a real browser: its functions, and its resistance to malicious content.

mod chromium;

use std::fmt::Write;

use serde_json::json;

use crate::program::{Ended, Store, tribunal};
use crate::reports::{Served, TAKEN_TWICE, judged, stale_register};
use chromium::Chromium;

/// Markup that would be noticed if it were interpreted, and terminal escapes.
const MALICIOUS: &str = "</script></style><img src=x onerror=\"document.title='owned'\"><svg onload=\"document.title='owned'\">\u{1b}[2J\u{202e}";

/// A register that returns a stale value after `n` operations; every string in its history is malicious.
fn stale_after(n: u64) -> String {
    let mut text = String::new();
    let mut event = |i: u64, kind: &str, f: &str, value: serde_json::Value| {
        let (t, p) = (i * 50_000, i / 2 % 8);
        let event = json!({"i": i, "t": t, "p": p, "type": kind, "f": f, "key": MALICIOUS, "value": value, "node": MALICIOUS});
        writeln!(text, "{event}").unwrap();
    };
    for op in 0..n {
        let value = format!("{op} {MALICIOUS}");
        event(2 * op, "invoke", "write", json!(value));
        event(2 * op + 1, "ok", "write", json!(value));
    }
    event(2 * n, "invoke", "write", json!("x".repeat(1_000_000)));
    event(2 * n + 1, "ok", "write", json!("x".repeat(1_000_000)));
    event(2 * n + 2, "invoke", "read", json!(null));
    event(2 * n + 3, "ok", "read", json!(format!("{} {MALICIOUS}", n - 1)));
    text
}

#[test]
fn the_page_zooms_jumps_hides_and_runs_no_foreign_script() {
    let Some(mut browser) = Chromium::start() else { return };
    let store = Store::new();
    let dir = judged(&store, "registers/a", "register", &stale_after(6_000), 1);
    std::fs::create_dir(dir.join("nodes")).unwrap();
    let log =
        [b"0.600100 \xff\xfe\x00 ".as_slice(), MALICIOUS.as_bytes(), b"\n0.600200 ", &[b'y'; 1_000_000]]
            .concat();
    std::fs::write(dir.join("nodes/n1.log"), log).unwrap();
    Ended::of(tribunal(["report"]).arg(&dir).output().unwrap()).expect(0);
    browser.open(&format!("file://{}", dir.join("report.html").display()));

    const CANVAS: &str = "document.getElementById('run-canvas').dataset";
    let span = format!("{CANVAS}.to - {CANVAS}.from");
    assert_eq!(browser.value(&format!("{CANVAS}.mode")), "rates");
    let whole = browser.number(&span);

    browser.click("[data-do=in]");
    assert!((browser.number(&span) - whole / 2.0).abs() < 1.0, "a click on + shows half as much");
    browser.click("#run-canvas");
    browser.press("+");
    assert!((browser.number(&span) - whole / 4.0).abs() < 1.0, "so does the key");
    assert_eq!(browser.value(&format!("{CANVAS}.mode")), "lanes", "from near there are lanes");
    browser.wheel("#run-canvas", -100.0);
    let near = browser.number(&span);
    assert!(near < whole / 4.5, "the wheel zooms in once the picture was clicked: {near} of {whole}");
    let left = browser.number(&format!("{CANVAS}.from"));
    browser.press("ArrowRight");
    assert!(browser.number(&format!("{CANVAS}.from")) > left, "the arrow moves");
    browser.press("0");
    assert_eq!(browser.number(&span), whole, "0 shows all");

    browser.press("v");
    let violation = 12_002.0 * 50.0; // µs
    let (from, to) = (browser.number(&format!("{CANVAS}.from")), browser.number(&format!("{CANVAS}.to")));
    assert!(from < violation && violation < to && to - from < whole / 4.0, "v goes there: {from} to {to}");
    let chosen = browser.value("document.getElementById('run-op').innerText");
    assert!(chosen.as_str().unwrap().contains("line 12003 and line 12004"), "{chosen}");
    assert!(chosen.as_str().unwrap().contains("<img src=x"), "values are shown as text: {chosen}");

    // One cursor for all pictures and the log.
    browser.hover("#counterexample .witness rect");
    let lines = "document.querySelectorAll('svg line.cursor[visibility=visible]').length";
    assert!(browser.number(lines) >= 1.0, "the picture has a cursor");
    assert_eq!(browser.value("document.getElementById('run-cursor').hidden"), false, "so has the whole run");
    assert_eq!(browser.number("document.querySelectorAll('#logs tr.at').length"), 1.0, "and the log");
    browser.hover("#run-canvas");
    let label = browser.value("document.querySelector('#run-cursor span').innerText");
    assert!(label.as_str().unwrap().ends_with(" s"), "its label is a time: {label}");

    let commands = "[...document.querySelectorAll('button.copy')].every((it) => !it.hidden)";
    assert_eq!(browser.value(commands), true, "commands can be copied");

    let shown = browser.number(&format!("{CANVAS}.bars"));
    browser.click("[data-kind=ok]");
    assert!(
        shown > 0.0 && browser.number(&format!("{CANVAS}.bars")) == 0.0,
        "what is switched off is not drawn"
    );
    browser.click("[data-kind=ok]");
    assert_eq!(browser.number(&format!("{CANVAS}.bars")), shown);

    let images =
        browser.number("[...document.images].filter((it) => !it.src.startsWith('data:image/svg')).length");
    assert_eq!(images, 0.0, "only plots are images");
    let overflow =
        browser.number("document.documentElement.scrollWidth - document.documentElement.clientWidth");
    assert!(overflow <= 0.0, "the page is {overflow} px too wide");
    assert!(!browser.value("document.title").as_str().unwrap().contains("owned"));
    assert_eq!(browser.page_errors(), Vec::<&serde_json::Value>::new());
}

#[test]
fn the_list_of_runs_filters_and_leads_to_reports_that_work() {
    let Some(mut browser) = Chromium::start() else { return };
    let store = Store::new();
    judged(&store, "queues/a", "queue", TAKEN_TWICE, 1);
    judged(&store, "queues/b", "queue", &TAKEN_TWICE.lines().take(4).collect::<Vec<_>>().join("\n"), 0);
    judged(&store, "registers/evil", "register", &stale_after(3), 1);
    let served = Served::start(store.path());
    let home = format!("http://{}/", served.address);
    browser.open(&home);
    const ROWS: &str = "document.querySelectorAll('#runs tbody tr').length";
    assert_eq!(browser.number(ROWS), 3.0);
    assert_eq!(browser.page_errors(), Vec::<&serde_json::Value>::new());

    browser.value("document.querySelector('[name=outcome]').value = 'violation'");
    browser.follow("form button");
    assert_eq!(browser.number(ROWS), 2.0, "two of three are violations");
    assert_eq!(
        browser.value("document.querySelector('[name=outcome]').value"),
        "violation",
        "the form remembers"
    );

    browser.follow("#runs a[href*='evil/report.html']");
    assert!(browser.value("document.title").as_str().unwrap().contains("not linearizable"));
    browser.click("[data-do=violation]");
    assert_eq!(
        browser.value("document.getElementById('run-op').hidden"),
        false,
        "the script may run where it is served"
    );
    assert_eq!(browser.page_errors(), Vec::<&serde_json::Value>::new());

    // A file of a run may contain HTML; it is served as text, or without permission to run scripts.
    std::fs::write(
        store.path().join("queues/a/evil.svg"),
        "<svg xmlns='http://www.w3.org/2000/svg'><script>document.documentElement.id='owned'</script></svg>",
    )
    .unwrap();
    browser.open(&format!("{home}runs/queues/a/evil.svg"));
    assert_eq!(browser.value("document.documentElement.id"), "");
}

/// Shows in its title whether its script runs, in which origin, and whether it could read another page.
const SPY: &str = r#"<!DOCTYPE html><title>nothing</title><body><script>
    document.title = 'ran in ' + self.origin;
    const read = (how, text) => { if (text.includes('Runs')) document.title = 'read by ' + how; };
    fetch('/').then((it) => it.text()).then((it) => read('fetch', it)).catch(() => {});
    const frame = document.body.appendChild(document.createElement('iframe'));
    frame.onload = () => { try { read('frame', frame.contentDocument.title); } catch {} };
    frame.src = '/';
</script>"#;

/// The origin `null` is shared with no other page: a script in it can neither read nor change others.
#[test]
fn an_untrusted_page_in_the_store_cannot_read_others() {
    let Some(mut browser) = Chromium::start() else { return };
    let store = Store::new();
    let dir = judged(&store, "queues/a", "queue", TAKEN_TWICE, 1);
    for name in ["report.html", "spy.html"] {
        std::fs::write(dir.join(name), SPY).unwrap();
    }
    let served = Served::start(store.path());
    for (name, title) in [("report.html", "ran in null"), ("spy.html", "nothing")] {
        browser.open(&format!("http://{}/runs/queues/a/{name}", served.address));
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert_eq!(browser.value("document.title"), title, "{name}");
    }
}

/// A measurement rather than a test: `cargo test --test whole -- --ignored --nocapture page_load`.
#[test]
#[ignore = "measures, and takes minutes"]
fn page_load_time_and_size() {
    let Some(mut browser) = Chromium::start() else { return };
    eprintln!("{:>9}  {:>9}  {:>7}  {:>6}  {:>8}", "ops", "page", "load", "nodes", "width");
    for n in [1_000, 10_000, 100_000, 1_000_000] {
        let store = Store::new();
        let page = judged(&store, "registers/a", "register", &stale_register(n), 1).join("report.html");
        browser.open(&format!("file://{}", page.display()));
        let bytes = std::fs::metadata(&page).unwrap().len() as f64;
        let timing = "performance.getEntriesByType('navigation')[0].loadEventEnd";
        let load = browser.number(timing);
        let nodes = browser.number("document.querySelectorAll('*').length");
        let width = browser.number("document.documentElement.scrollWidth");
        eprintln!("{n:>9}  {:>6.2} MB  {load:>4.0} ms  {nodes:>6}  {width:>5} px", bytes / 1e6);
    }
}
