//! A headless Chromium, controlled by its DevTools protocol over `--remote-debugging-pipe`: JSON objects,
//! each ended by a zero byte; commands on file 3, answers on file 4. This needs no port, no driver program
//! and no library.
//!
//! https://chromedevtools.github.io/devtools-protocol/

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Timeout for one answer.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A browser with one page open.
pub(crate) struct Chromium {
    child: Child,
    commands: File,
    messages: Receiver<Value>,
    session: Value,
    next: u64,
    /// The events received between answers, in order.
    pub(crate) events: Vec<Value>,
    _home: tempfile::TempDir,
}

impl Chromium {
    /// Starts a browser; `None`, with a message, if none is installed.
    pub(crate) fn start() -> Option<Chromium> {
        let program = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|program| {
            Command::new(program)
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        });
        let Some(program) = program else {
            assert!(std::env::var_os("TRIBUNAL_NO_SKIP").is_none(), "there is no Chromium");
            eprintln!("skipped: there is no Chromium");
            return None;
        };
        let home = tempfile::tempdir().unwrap();
        let (commands, messages) = (home.path().join("in"), home.path().join("out"));
        for pipe in [&commands, &messages] {
            nix::unistd::mkfifo(pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        }
        let child = Command::new("sh")
            .args(["-c", r#"in="$1" out="$2"; shift 2; exec "$@" 3<>"$in" 4<>"$out""#, "sh"])
            .args([&commands, &messages])
            .arg(program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--remote-debugging-pipe",
            ])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--window-size=1120,900"])
            .arg(format!("--user-data-dir={}", home.path().join("profile").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Opened for reading and writing, so that opening does not block.
        let open = |pipe: &Path| File::options().read(true).write(true).open(pipe).unwrap();
        let (commands, messages) = (open(&commands), BufReader::new(open(&messages)));
        let (send, receive) = channel();
        std::thread::spawn(move || {
            for message in messages.split(0) {
                let Ok(message) = message else { return };
                if send.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    return;
                }
            }
        });
        let mut browser = Chromium {
            child,
            commands,
            messages: receive,
            session: Value::Null,
            next: 0,
            events: Vec::new(),
            _home: home,
        };
        let page = browser.ask("Target.createTarget", json!({"url": "about:blank"}));
        let target = json!({"targetId": page["targetId"], "flatten": true});
        browser.session = browser.ask("Target.attachToTarget", target)["sessionId"].clone();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.ask(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Sends a command and returns its answer.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let mut command = json!({"id": self.next, "method": method, "params": params});
        if !self.session.is_null() {
            command["sessionId"] = self.session.clone();
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).unwrap();
        loop {
            let message = self.messages.recv_timeout(TIMEOUT).unwrap_or_else(|why| panic!("{method}: {why}"));
            if message["id"] == json!(self.next) {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    /// Opens a page and waits until it is loaded.
    pub(crate) fn open(&mut self, address: &str) {
        self.events.clear();
        let answer = self.ask("Page.navigate", json!({"url": address}));
        assert!(answer["errorText"].is_null(), "{address}: {answer}");
        self.await_load();
    }

    /// Waits until the requested page is loaded.
    fn await_load(&mut self) {
        let start = Instant::now();
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let left = TIMEOUT.checked_sub(start.elapsed()).expect("the page never loads");
            let message = self.messages.recv_timeout(left).expect("the browser is silent");
            self.events.push(message);
        }
        // The picture of a whole run is unpacked after that.
        let drawn =
            "!document.getElementById('run-data') || 'mode' in document.getElementById('run-canvas').dataset";
        while self.value(drawn) != true {
            assert!(start.elapsed() < TIMEOUT, "the picture is never drawn");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The value of a JavaScript expression; promises are awaited.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let how = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.ask("Runtime.evaluate", how);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// The value of an expression, as a number.
    pub(crate) fn number(&mut self, expression: &str) -> f64 {
        let value = self.value(&format!("Number({expression})"));
        value.as_f64().unwrap_or_else(|| panic!("{expression} is {value}"))
    }

    /// Presses a key, such as `+` or `v`.
    pub(crate) fn press(&mut self, key: &str) {
        let down = match key.chars().count() {
            1 => json!({"type": "keyDown", "key": key, "text": key}),
            _ => json!({"type": "rawKeyDown", "key": key}),
        };
        self.ask("Input.dispatchKeyEvent", down);
        self.ask("Input.dispatchKeyEvent", json!({"type": "keyUp", "key": key}));
        self.settle();
    }

    /// Clicks the middle of an element, as a user does.
    pub(crate) fn click(&mut self, selector: &str) {
        self.push(selector);
        self.settle();
    }

    /// Clicks a link, and waits until its page is loaded.
    pub(crate) fn follow(&mut self, selector: &str) {
        self.events.clear();
        self.push(selector);
        self.await_load();
    }

    fn push(&mut self, selector: &str) {
        let (x, y) = self.middle(selector);
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1});
            self.ask("Input.dispatchMouseEvent", event);
        }
    }

    /// Moves the pointer over the middle of an element.
    pub(crate) fn hover(&mut self, selector: &str) {
        let (x, y) = self.middle(selector);
        self.ask("Input.dispatchMouseEvent", json!({"type": "mouseMoved", "x": x, "y": y}));
        self.settle();
    }

    /// Turns the mouse wheel over the middle of an element; negative is up.
    pub(crate) fn wheel(&mut self, selector: &str, by: f64) {
        let (x, y) = self.middle(selector);
        let event = json!({"type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": by});
        self.ask("Input.dispatchMouseEvent", event);
        self.settle();
    }

    fn middle(&mut self, selector: &str) -> (f64, f64) {
        let selector = json!(selector);
        let place = self.value(&format!(
            "(() => {{ const it = document.querySelector({selector}); it.scrollIntoView({{block: 'center'}}); \
             const box = it.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        ));
        (place[0].as_f64().expect("there is such an element"), place[1].as_f64().unwrap())
    }

    /// Waits until changes are drawn: two frames.
    fn settle(&mut self) {
        self.value(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))",
        );
    }

    /// Errors on the page, and network requests for anything but the page itself and embedded data.
    pub(crate) fn page_errors(&self) -> Vec<&Value> {
        let is_own = |event: &Value| {
            let url = event["params"]["request"]["url"].as_str().unwrap_or_default();
            url.starts_with("data:") || event["params"]["type"] == "Document"
        };
        let bad = self.events.iter().filter(|event| match event["method"].as_str() {
            Some("Runtime.exceptionThrown" | "Page.javascriptDialogOpening") => true,
            Some("Log.entryAdded") => event["params"]["entry"]["level"] == "error",
            Some("Network.requestWillBeSent") => !is_own(event),
            _ => false,
        });
        bad.collect()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // When asked to close, the browser ends its child processes; when it is killed, they notice by
        // themselves.
        let _ = self.commands.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        for _ in 0..250 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
