//! Headless Chromium, spoken to by its DevTools protocol.

use data_encoding::BASE64;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use wsync::{RecvTimeoutError, WebSocket};

/// One answer, or one state that a page must come to.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// An expression that has no answer is asked for again.
const AGAIN: Duration = Duration::from_secs(20);
/// How often a page is asked for its state.
const LOOK: Duration = Duration::from_millis(50);

const PROGRAMS: [&str; 3] = ["chromium-headless-shell", "chromium", "google-chrome"];

/// It is killed with all its processes when it is dropped.
pub struct Chromium {
    child: Child,
    ws: WebSocket,
    next: Cell<u64>,
    /// What the scripts of pages threw.
    thrown: RefCell<Vec<String>>,
    _profile: TempDir,
}

impl Chromium {
    pub fn open() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new(program())
            .args([
                "--headless",
                "--disable-gpu",
                "--no-first-run",
                "--disable-sync",
            ])
            .args(["--disable-quic", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-dev-shm-usage"])
            // As root there is no sandbox, and it only sees pages of this project.
            .args(["--no-sandbox", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let address = address(&mut child);
        Chromium {
            ws: wsync::connect(&address).unwrap(),
            child,
            next: Cell::new(1),
            thrown: RefCell::default(),
            _profile: profile,
        }
    }

    /// A page with cookies and storage of its own.
    pub fn page(&self, address: &str) -> Page<'_> {
        let id = |answer: Value, name: &str| answer[name].as_str().unwrap().to_owned();
        let context = self.call(None, "Target.createBrowserContext", json!({}));
        let context = id(context, "browserContextId");
        let target = json!({"url": "about:blank", "browserContextId": context});
        let target = id(self.call(None, "Target.createTarget", target), "targetId");
        let attach = json!({"targetId": target, "flatten": true});
        let session = id(
            self.call(None, "Target.attachToTarget", attach),
            "sessionId",
        );
        let page = Page {
            chromium: self,
            context,
            session,
        };
        page.call("Runtime.enable", json!({}));
        page.call("Page.enable", json!({}));
        page.call("Page.navigate", json!({ "url": address }));
        page
    }

    /// What the scripts of all pages threw.
    pub fn thrown(&self) -> Vec<String> {
        self.thrown.borrow().clone()
    }

    fn call(&self, session: Option<&str>, method: &str, params: Value) -> Value {
        let answer = self.ask(session, method, params, PATIENCE);
        answer.unwrap_or_else(|| panic!("{method}: no answer"))
    }

    /// `None` if there is no answer in time.
    fn ask(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
        within: Duration,
    ) -> Option<Value> {
        let id = self.next.replace(self.next.get() + 1);
        let mut request = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            request["sessionId"] = session.into();
        }
        self.ws.send(request.to_string()).unwrap();
        let deadline = Instant::now() + within;
        loop {
            let message = match self.ws.recv_deadline(deadline) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => return None,
                Err(error) => panic!("{method}: {error}"),
            };
            let mut message: Value = serde_json::from_str(message.as_text().unwrap()).unwrap();
            if message["method"] == "Runtime.exceptionThrown" {
                let details = message["params"]["exceptionDetails"].to_string();
                self.thrown.borrow_mut().push(details);
            }
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return Some(message["result"].take());
            }
        }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// It is closed when it is dropped.
pub struct Page<'a> {
    chromium: &'a Chromium,
    context: String,
    session: String,
}

impl Page<'_> {
    fn call(&self, method: &str, params: Value) -> Value {
        self.chromium.call(Some(&self.session), method, params)
    }

    /// What an expression of JavaScript is in the page. It is asked for again where there is no answer: a question that
    /// comes while the page opens can be lost.
    pub fn eval(&self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true});
        let session = Some(&*self.session);
        let ask = || (self.chromium).ask(session, "Runtime.evaluate", params.clone(), AGAIN);
        let begin = Instant::now();
        let mut answer = loop {
            match ask() {
                Some(answer) => break answer,
                None => assert!(begin.elapsed() < PATIENCE, "{expression}: no answer"),
            }
        };
        let wrong = &answer["exceptionDetails"];
        assert!(wrong.is_null(), "{expression}: {wrong}");
        answer["result"]["value"].take()
    }

    /// Waits until the expression is true; how long that took.
    pub fn until(&self, what: &str, expression: &str) -> Duration {
        let begin = Instant::now();
        while self.eval(expression) != true {
            if begin.elapsed() > PATIENCE {
                panic!(
                    "{what}: not yet; the page is {}",
                    self.eval("document.body.outerHTML")
                );
            }
            thread::sleep(LOOK);
        }
        begin.elapsed()
    }

    /// As a mouse does.
    pub fn click(&self, selector: &str) {
        let middle = self.eval(&format!(
            "(() => {{ const box = document.querySelector(`{selector}`).getBoundingClientRect();
                return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": middle[0], "y": middle[1], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// As a keyboard does, where the focus is.
    pub fn write(&self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    pub fn reload(&self) {
        // Unlike `Page.reload`, this returns when the old page is gone.
        self.call("Page.navigate", json!({"url": self.eval("location.href")}));
    }

    /// Saves what the page looks like, if `WSYNC_SCREENS` names a folder.
    pub fn screenshot(&self, name: &str) {
        let Some(folder) = std::env::var_os("WSYNC_SCREENS").filter(|name| !name.is_empty()) else {
            return;
        };
        let size = json!({"width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size);
        let image = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let image = BASE64.decode(image["data"].as_str().unwrap().as_bytes());
        let file = Path::new(&folder).join(format!("{name}.png"));
        std::fs::write(file, image.unwrap()).unwrap();
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        if !thread::panicking() {
            let context = json!({"browserContextId": self.context});
            self.chromium
                .call(None, "Target.disposeBrowserContext", context);
        }
    }
}

/// Where it lets itself be spoken to.
fn address(child: &mut Child) -> String {
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let (sender, addresses) = mpsc::channel();
    thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            if let Some(address) = line.strip_prefix("DevTools listening on ") {
                let _ = sender.send(address.to_owned());
            }
        }
    });
    addresses
        .recv_timeout(PATIENCE)
        .expect("the address of DevTools")
}

/// The one that `WSYNC_BROWSER` names, or the first that there is.
fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("WSYNC_BROWSER") {
        return program.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    PROGRAMS
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(name)))
        .find(|program| program.is_file())
        .expect("a Chromium: .ci/install installs one, and WSYNC_BROWSER can name one")
}
