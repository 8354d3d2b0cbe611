//! Servers with a broker that is a process of its own, and that dies.

use super::rooms::same_order;
use super::*;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

#[test]
#[ignore = "needs redis-server"]
fn redis_keeps_the_order() {
    keeps_the_order(Process::redis());
}

#[test]
#[ignore = "needs redis-server"]
fn redis_may_be_lost_for_a_while() {
    may_be_lost_for_a_while(Process::redis());
}

#[test]
#[ignore = "needs redis-server"]
fn redis_tells_a_server_what_it_has_missed() {
    tells_what_was_missed(Process::redis());
}

#[cfg(feature = "nats")]
#[test]
#[ignore = "needs nats-server"]
fn nats_keeps_the_order() {
    keeps_the_order(Process::nats());
}

#[cfg(feature = "nats")]
#[test]
#[ignore = "needs nats-server"]
fn nats_may_be_lost_for_a_while() {
    may_be_lost_for_a_while(Process::nats());
}

#[cfg(feature = "nats")]
#[test]
#[ignore = "needs nats-server"]
fn nats_tells_a_server_what_it_has_missed() {
    tells_what_was_missed(Process::nats());
}

fn keeps_the_order(mut broker: Process) {
    broker.start();
    let mut servers = [(); 3].map(|()| Server::start(&broker.choice(), None));
    for server in &servers {
        eventually("the broker is there", || server.is_well());
    }
    let ann = servers[0].join("tea", "Ann");
    let bo = servers[1].join("tea", "Bo");
    ann.sees(&["Ann", "Bo"]);
    bo.sees(&["Ann", "Bo"]);
    servers[1].stop();
    ann.sees(&["Ann"]);
    drop(ann);
    same_order(&[&servers[0], &servers[2]]);
}

fn may_be_lost_for_a_while(mut broker: Process) {
    let server = Server::start(&broker.choice(), None);
    assert!(!server.is_well(), "there is no broker yet");
    let ann = server.join("tea", "Ann");
    ann.say("1", "one");
    let error = ann.hear("error");
    assert_eq!(error["nonce"], "1");
    broker.start();
    eventually("the broker is there", || server.is_well());
    let one = ann.insist("1", "one");

    broker.kill();
    eventually("the broker is missed", || !server.is_well());
    ann.say("2", "two");
    while ann.hear("error")["nonce"] != "2" {}
    // The history is there all the same.
    assert_eq!(server.join("tea", "Bo").said(1), std::slice::from_ref(&one));
    broker.start();
    eventually("the broker is back", || server.is_well());
    ann.say("1", "one");
    let two = ann.insist("2", "two");
    // The first was known.
    assert_eq!(server.join("tea", "Eve").said(2), [one, two]);
}

fn tells_what_was_missed(mut broker: Process) {
    broker.start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.db");
    let one = Server::start(&broker.choice(), None);
    let mut two = Server::start(&broker.choice(), Some(&file));
    eventually("the broker is there", || one.is_well() && two.is_well());
    let (ann, bo) = (one.join("tea", "Ann"), two.join("tea", "Bo"));
    ann.insist("1", "one");
    let last = bo.hear("said")["id"].as_str().unwrap().to_owned();
    two.stop();
    let missed = (2..300).map(|n| n.to_string());
    let missed: Vec<_> = missed.map(|text| ann.insist(&text, &text)).collect();
    broker.kill();
    broker.start();

    let two = Server::start(&broker.choice(), Some(&file));
    let bo = two.join_after("tea", "Bo", &last);
    assert_eq!(bo.said(298), missed);
    // One that has nothing yet has it all from the broker; who comes from another server gets the rest.
    let three = Server::start(&broker.choice(), None);
    let newest = missed[297]["id"].as_str().unwrap();
    let eve = three.join_after("tea", "Eve", newest);
    eventually("the broker is back", || one.is_well() && three.is_well());
    ann.insist("new", "new");
    assert_eq!(texts(&eve.said(1)), ["new"]);
}

/// A broker on a port and in a folder of its own. It is killed when this is dropped.
struct Process {
    port: u16,
    folder: TempDir,
    command: fn(u16, &Path) -> Command,
    scheme: &'static str,
    child: Option<Child>,
}

impl Process {
    fn redis() -> Self {
        Process::new("redis", |port, folder| {
            let mut command = Command::new("redis-server");
            command.arg("--port").arg(port.to_string());
            command
                .arg("--dir")
                .arg(folder)
                .args(["--bind", "127.0.0.1"]);
            command.args([
                "--save",
                "",
                "--appendonly",
                "yes",
                "--appendfsync",
                "always",
            ]);
            command
        })
    }

    #[cfg(feature = "nats")]
    fn nats() -> Self {
        Process::new("nats", |port, folder| {
            let mut command = Command::new("nats-server");
            command.arg("--port").arg(port.to_string());
            command.args(["--addr", "127.0.0.1", "--jetstream", "--store_dir"]);
            command.arg(folder);
            command
        })
    }

    fn new(scheme: &'static str, command: fn(u16, &Path) -> Command) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        Process {
            port: free.local_addr().unwrap().port(),
            folder: tempfile::tempdir().unwrap(),
            command,
            scheme,
            child: None,
        }
    }

    fn choice(&self) -> Choice {
        let url = format!("{}://127.0.0.1:{}", self.scheme, self.port);
        url.parse().unwrap()
    }

    fn start(&mut self) {
        let mut command = (self.command)(self.port, self.folder.path());
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
        eventually("the broker listens", || {
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
