//! The browser's side: a page over HTTP, and a process group of its own.

#![allow(clippy::unwrap_used)]

use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The page gives up by itself after 60 s.
const RUN: Duration = Duration::from_secs(90);
const IDLE: Duration = Duration::from_secs(100);

const PAGE: &str = include_str!("browser.html");
const BROWSERS: [&str; 3] = ["chromium-headless-shell", "chromium", "google-chrome"];

/// What the page said of its WebSocket to `url`, after a run in a browser.
pub(crate) fn outcome(url: &str, test: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let (sender, outcomes) = mpsc::channel();
    let page = Arc::new(PAGE.replace("'URL'", &format!("'{url}'")));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (page, sender) = (page.clone(), sender.clone());
            // A browser may open connections that it does not use.
            thread::spawn(move || respond(&stream, &page, &sender));
        }
    });
    let browser = Browser::open(&address, test);
    outcomes
        .recv_timeout(RUN)
        .unwrap_or_else(|_| panic!("no word from the page: {}", browser.log()))
}

fn respond(mut stream: &TcpStream, page: &str, outcomes: &mpsc::Sender<String>) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap();
            }
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (status, page) = match request.split(' ').take(2).collect::<Vec<_>>().as_slice() {
        ["GET", "/"] => ("200 OK", page),
        ["POST", "/result"] => {
            let _ = outcomes.send(String::from_utf8(body).unwrap());
            ("200 OK", "")
        }
        _ => ("404 Not Found", ""),
    };
    let size = page.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n{page}"
    )
}

/// It is killed with all its processes when it is dropped.
struct Browser {
    child: Child,
    /// Its profile, and what it says.
    folder: PathBuf,
}

impl Browser {
    fn open(address: &str, test: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("browser-{test}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let log = File::create(folder.join("log")).unwrap();
        let child = Command::new(program())
            .args(["--headless", "--disable-gpu", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-dev-shm-usage"])
            // As root there is no sandbox, and it only sees the page here; its certificate is of tests/certs.
            .args(["--no-sandbox", "--ignore-certificate-errors"])
            // Without it the headless shell opens the page and ends.
            .arg("--remote-debugging-port=0")
            .arg(format!("--user-data-dir={}", folder.display()))
            .arg(address)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        Browser { child, folder }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The one that `WSYNC_BROWSER` names, or the first that there is.
fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("WSYNC_BROWSER") {
        return program.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    BROWSERS
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(name)))
        .find(|program| program.is_file())
        .expect("a Chromium: .ci/install installs one, and WSYNC_BROWSER can name one")
}
