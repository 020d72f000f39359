//! A renderer's failure affects no other report.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tribunal_reports::junit::{self, Suite};
use tribunal_reports::render::{Made, RENDERERS, RenderError, Renderer, render, render_all};
use tribunal_reports::run_dir::{Evidence, RunDir};
use tribunal_reports::run_info::RunInfo;

use crate::scene::{self, Stage};

#[test]
fn a_renderer_that_panics_costs_only_its_own_file() {
    let stage = Stage::of("register-stale-read");
    let verdict = fs::read(stage.dir.path().join("verdict.json")).unwrap();
    let boom = Renderer { name: "boom.txt", made: Made::Always, render: |_| panic!("a bug in a renderer") };
    let renderers = [RENDERERS[0], boom, RENDERERS[1]];

    let rendered = render(&stage.run(), stage.dir.path(), &renderers);

    let outcomes: Vec<bool> = rendered.iter().map(|(_, result)| result.is_ok()).collect();
    assert_eq!(outcomes, [true, false, true]);
    assert!(matches!(&rendered[1].1, Err(RenderError::Panicked(why)) if why == "a bug in a renderer"));
    assert!(!stage.dir.path().join("boom.txt").exists());
    assert_eq!(fs::read(stage.dir.path().join("verdict.json")).unwrap(), verdict);
    assert_eq!(RunDir::load(stage.dir.path()).unwrap().judgement.exit_code, 1);
}

/// A directory with the name of a report keeps the report from being written.
#[test]
fn a_report_that_cannot_be_written_leaves_the_verdict_and_no_half_written_file() {
    let stage = Stage::of("register-stale-read");
    let verdict = fs::read(stage.dir.path().join("verdict.json")).unwrap();
    for name in ["report.txt", "report.html"] {
        fs::create_dir(stage.dir.path().join(name)).unwrap();
    }
    let names = || -> Vec<String> {
        let entries = fs::read_dir(stage.dir.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };

    let rendered = render_all(&stage.run(), stage.dir.path());

    for (name, result) in &rendered[..2] {
        assert!(matches!(result, Err(RenderError::Io { .. })), "{name}: {result:?}");
    }
    assert!(rendered[2..].iter().all(|(_, result)| result.is_ok()), "the others are not in the way");
    assert!(
        names().iter().all(|name| !name.contains("report.txt.") && !name.contains("partial")),
        "{:?}",
        names()
    );
    assert_eq!(fs::read(stage.dir.path().join("verdict.json")).unwrap(), verdict);
}

#[test]
fn evidence_that_is_torn_or_missing_is_read_for_what_it_is() {
    let stage = Stage::of("queue-dequeued-twice");
    let dir = stage.dir.path();
    fs::remove_file(dir.join("faults.jsonl")).unwrap();
    fs::remove_dir_all(dir.join("nodes")).unwrap();
    assert!(stage.run().evidence.faults.is_empty());
    assert!(render_all(&stage.run(), dir).iter().all(|(_, result)| result.is_ok()));

    let history = fs::read_to_string(dir.join("history.jsonl")).unwrap();
    fs::write(dir.join("history.jsonl"), &history[..history.len() - 10]).unwrap();
    let evidence = Evidence::load(dir).unwrap();
    assert_eq!(evidence.history.ops.len(), 6, "the torn completion leaves its operation pending");
    let why = RunDir::load(dir).unwrap_err().to_string();
    assert!(why.contains("verdict.json: it judges"), "it was torn after it was judged: {why}");
}

#[test]
fn evidence_that_is_wrong_is_an_error_that_names_the_file() {
    let stage = Stage::of("one-operation");
    let backwards = r#"{"i":0,"t":5,"p":0,"type":"invoke","f":"read"}
{"i":1,"t":4,"p":0,"type":"ok","f":"read"}
"#;
    fs::write(stage.dir.path().join("history.jsonl"), backwards).unwrap();
    let why = RunDir::load(stage.dir.path()).unwrap_err().to_string();
    assert!(why.contains("history.jsonl") && why.contains("backwards"), "{why}");

    fs::remove_file(stage.dir.path().join("run.json")).unwrap();
    let why = RunDir::load(stage.dir.path()).unwrap_err().to_string();
    assert!(why.contains("run.json"), "{why}");
}

#[test]
fn a_log_that_may_not_be_read_is_left_out() {
    let stage = Stage::of("register-stale-read");
    let log = stage.dir.path().join("nodes/n1.log");
    fs::set_permissions(&log, fs::Permissions::from_mode(0o000)).unwrap();
    fs::remove_file(&log).unwrap();
    fs::create_dir(&log).unwrap(); // unreadable even for root
    assert!(stage.run().logs.iter().all(|line| line.node != "n1"));
}

/// The number of elements with this name in a junit.xml, as an XML parser sees it.
fn elements(xml: &str, name: &str) -> usize {
    let document = roxmltree::Document::parse(xml).unwrap_or_else(|why| panic!("{why}:\n{xml}"));
    document.descendants().filter(|node| node.has_tag_name(name)).count()
}

#[test]
fn junit_is_valid_xml_that_is_red_before_there_is_an_outcome_too() {
    for name in scene::names() {
        let run = Stage::of(&name).run();
        let xml = junit::render(&run);
        let red = elements(&xml, "failure") + elements(&xml, "error");
        assert_eq!(red == 0, run.judgement.exit_code == 0, "{name}:\n{xml}");
    }
    let hostile = RunInfo { workload: "</testsuite>\u{0}\u{1b}[2J\u{fffe}".into(), ..RunInfo::default() };
    let why = "cut off \u{0} ]]> <here> & now";
    let suites = [Suite::unfinished(&hostile, why), Suite::unreadable("a.log", why)];
    let xml = junit::render_suites(&suites);
    assert_eq!((elements(&xml, "testsuite"), elements(&xml, "error")), (2, 2));
    assert!(xml.contains("errors=\"2\""), "{xml}");
}
