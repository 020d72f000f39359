//! The files of runs. Only files below the store are served, with their type, and never executed.

use std::fs;
use std::path::{Component, Path, PathBuf};

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use tokio_util::io::ReaderStream;
use tribunal_reports::files;
use tribunal_reports::html;
use tribunal_reports::html::runs_page;

/// The response to a request for `path`, a path below the store.
pub(super) async fn answer(store: &Path, path: &str) -> Response {
    let Some(found) = find(store, path) else { return nothing() };
    if found.is_dir() {
        // Links in a listing are relative, so the URL of a directory must end with a slash.
        return match path.ends_with('/') {
            true => listing(&found, path),
            false => Redirect::permanent(&format!("/runs/{}/", runs_page::address(path))).into_response(),
        };
    }
    let Ok(file) = files::open(&found) else { return nothing() };
    let body = Body::from_stream(ReaderStream::new(tokio::fs::File::from_std(file)));
    let kind = [(header::CONTENT_TYPE, content_type(&found))];
    match found.file_name().is_some_and(|name| name == "report.html") {
        true => (kind, [(header::CONTENT_SECURITY_POLICY, report_policy())], body).into_response(),
        false => (kind, body).into_response(),
    }
}

/// The content security policy of a report: it may run its script, but not access other pages. The report is
/// untrusted, so its sandbox lacks `allow-same-origin`: the page gets an opaque origin, and can neither read
/// other pages nor open windows.
fn report_policy() -> String {
    format!("{}; sandbox allow-scripts", html::POLICY)
}

/// The directory or regular file at `path`, if it is below the store after following all links. Other files
/// (pipe, socket, device) could block when opened.
fn find(store: &Path, path: &str) -> Option<PathBuf> {
    let relative = Path::new(path);
    if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        return None;
    }
    let found = store.join(relative).canonicalize().ok()?;
    let kind = fs::metadata(&found).ok()?;
    (found.starts_with(store) && (kind.is_dir() || kind.is_file())).then_some(found)
}

fn nothing() -> Response {
    (StatusCode::NOT_FOUND, "there is no such file\n").into_response()
}

fn listing(dir: &Path, path: &str) -> Response {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut files: Vec<(String, Option<u64>)> = entries
        .filter_map(|entry| {
            let kind = fs::metadata(entry.path()).ok()?;
            Some((entry.file_name().into_string().ok()?, kind.is_file().then_some(kind.len())))
        })
        .collect();
    files.sort();
    let page = runs_page::listing(path, &files);
    ([(header::CONTENT_SECURITY_POLICY, runs_page::POLICY)], Html(page)).into_response()
}

/// The MIME type of a file.
fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("json") => "application/json",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_store_is_found() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        let store = home.join("store");
        fs::create_dir_all(store.join("register/run")).unwrap();
        fs::write(home.join("secret"), "s").unwrap();
        fs::write(store.join("register/run/run.json"), "{}").unwrap();
        std::os::unix::fs::symlink("../../../secret", store.join("register/run/out")).unwrap();
        std::os::unix::fs::symlink("run", store.join("register/latest")).unwrap();
        nix::unistd::mkfifo(&store.join("register/run/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();

        for inside in ["register/run/run.json", "register/latest/run.json", "register/run", "register/run/"] {
            assert!(find(&store, inside).is_some(), "{inside}");
        }
        for outside in [
            "../secret",
            "register/../../secret",
            "/etc/passwd",
            "register/run/out",
            "register/run/pipe",
            "none",
            "a\0b",
        ] {
            assert!(find(&store, outside).is_none(), "{outside}");
        }
    }
}
