//! The reports of every scene, as files that can be read and compared.

use std::fs;
use std::path::{Path, PathBuf};

use tribunal_reports::render::{RENDERERS, render_all};
use tribunal_reports::text;

use crate::scene::{self, Stage};

/// Compares a text with `tests/snapshots/NAME`.
fn compare(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    if let Some((at, (now, then))) = text
        .lines()
        .zip(expected.lines().chain(std::iter::repeat("(end)")))
        .enumerate()
        .find(|(_, (a, b))| a != b)
    {
        panic!("{name}, line {}:\n  now   {now}\n  then  {then}\nUPDATE_SNAPSHOTS=1 accepts it", at + 1);
    }
    assert_eq!(text.len(), expected.len(), "{name} has become shorter or longer");
}

/// The visible text of a page: without tags, style, script and data, blank lines folded.
fn visible(page: &str) -> String {
    let mut text = String::new();
    let mut rest = page;
    while let Some(open) = rest.find('<') {
        text.push_str(&rest[..open]);
        rest = &rest[open..];
        let hidden = ["style", "script", "title"].into_iter().find(|tag| rest[1..].starts_with(tag));
        let end = match hidden {
            Some(tag) => rest.find(&format!("</{tag}>")).unwrap(),
            None => 0,
        };
        rest = &rest[end..];
        let close = rest.find('>').unwrap();
        let tag = &rest[1..close];
        let breaks =
            ["/tr", "/h", "/p", "/li", "/dd", "/section", "/summary", "/figcaption", "/text", "/label"];
        text.push_str(if breaks.iter().any(|name| tag.starts_with(name)) {
            "\n"
        } else if ["/td", "/th", "/dt"].iter().any(|name| tag.starts_with(name)) {
            "\t"
        } else {
            ""
        });
        rest = &rest[close + 1..];
    }
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    plain
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .fold(String::new(), |all, line| all + line + "\n")
}

fn kept(name: &str, stage: &Stage) -> PathBuf {
    match std::env::var_os("KEEP_SCENES") {
        Some(keep) => {
            let dir = Path::new(&keep).join(name);
            stage.copy_to(&dir);
            dir
        }
        None => stage.dir.path().to_path_buf(),
    }
}

#[test]
fn every_scene_looks_as_it_did() {
    for name in scene::names() {
        let stage = Stage::of(&name);
        let dir = kept(&name, &stage);
        for (file, result) in render_all(&stage.run(), &dir) {
            result.unwrap_or_else(|why| panic!("{name}: {file}: {why}"));
        }
        let read = |file: &str| fs::read_to_string(dir.join(file)).unwrap();
        compare(&format!("{name}/report.txt"), &read("report.txt"));
        compare(&format!("{name}/page.txt"), &visible(&read("report.html")));
        compare(&format!("{name}/report.md"), &read("report.md"));
        compare(&format!("{name}/junit.xml"), &read("junit.xml"));
        if stage.run().judgement.violation().is_some() {
            compare(&format!("{name}/counterexample.txt"), &read("counterexample.txt"));
        }
    }
}

#[test]
fn the_text_fits_a_terminal() {
    for name in scene::names() {
        let text = text::render(&Stage::of(&name).run());
        assert!(text.lines().count() <= text::LINES_MAX, "{name}: {} lines", text.lines().count());
        for line in text.lines() {
            assert!(line.chars().count() <= text::WIDTH, "{name}: too wide: {line}");
        }
    }
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let stage = Stage::of("register-stale-read");
    let (first, second) = (stage.run(), stage.run());
    for renderer in RENDERERS {
        assert!((renderer.render)(&first) == (renderer.render)(&second), "{} differs", renderer.name);
    }
}

/// Rendered files do not become input of a later rendering.
#[test]
fn rendering_again_changes_nothing() {
    let stage = Stage::of("lock-held-twice");
    render_all(&stage.run(), stage.dir.path());
    let first = fs::read(stage.dir.path().join("report.html")).unwrap();
    render_all(&stage.run(), stage.dir.path());
    assert!(first == fs::read(stage.dir.path().join("report.html")).unwrap());
}

/// The plots that explain a slow check are there if the check was slow, and only then.
#[test]
fn a_check_that_was_stopped_is_explained_by_its_frontier() {
    let stage = Stage::of("unknown-limit");
    render_all(&stage.run(), stage.dir.path());
    let svg = fs::read_to_string(stage.dir.path().join("plots/frontier.svg")).unwrap();
    assert!(
        svg.contains("The frontier&apos;s size, key k3") || svg.contains("frontier's size, key k3"),
        "{svg}"
    );
    assert!(svg.contains("100,000"), "the axis reaches 90,000 configurations");
    let keys = fs::read_to_string(stage.dir.path().join("plots/keys.svg")).unwrap();
    assert!(keys.contains("k100") && keys.contains("Operations per key"), "{keys}");
    assert_eq!(stage.dir.path().join("plots/frontier.png").is_file(), cfg!(feature = "png"));

    let quick = Stage::of("linearizable");
    render_all(&quick.run(), quick.dir.path());
    assert!(quick.dir.path().join("plots/rate.svg").is_file());
    assert!(!quick.dir.path().join("plots/frontier.svg").exists());
    assert!(!quick.dir.path().join("plots/keys.svg").exists());
}

/// A page opened from disk must not load anything.
#[test]
fn the_page_loads_nothing() {
    let stage = Stage::of("register-stale-read");
    render_all(&stage.run(), stage.dir.path());
    let page = fs::read_to_string(stage.dir.path().join("report.html")).unwrap();
    assert!(page.contains("default-src &#39;none&#39;") || page.contains("default-src 'none'"));
    for attribute in ["src=\"", "url("] {
        for (at, _) in page.match_indices(attribute) {
            let target: String = page[at + attribute.len()..].chars().take(5).collect();
            assert!(target == "data:" || target.starts_with('#'), "{attribute}{target}");
        }
    }
    assert!(!page.contains("http://") && !page.contains("https://"), "the page names another place");
}
