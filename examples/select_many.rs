//! cargo run --release --example select_many
//!
//! One thread for a thousand connections: their events come in one channel, and `select!` waits for
//! them, for a timer and for a signal to stop at once. The clients are here too, and one thread more
//! takes what comes to all of them.

use crossbeam_channel::{Receiver, bounded, select, tick};
use std::collections::HashMap;
use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};
use wsync::{ClientBuilder, Event, Sender, Server};

const CONNECTIONS: usize = 1000;
const ROUNDS: usize = 50;

fn main() -> Result<(), Box<dyn Error>> {
    let connections = CONNECTIONS.min(descriptors().saturating_sub(50) / 2);
    if connections < CONNECTIONS {
        println!("no descriptors for more than {connections} connections");
    }

    // The server: one thread accepts, one serves them all.
    let server = Server::bind("127.0.0.1:0")?;
    let url = format!("ws://{}/", server.local_addr());
    let (events, inbox) = bounded(1000);
    let (stop, stopped) = bounded(0);
    let incoming = server.incoming()?;
    thread::spawn(move || {
        for (number, upgrade) in incoming.enumerate() {
            let _ = upgrade.deliver_to(events.clone(), number).accept();
        }
    });
    let serving = thread::spawn(move || serve(&inbox, &stopped));

    // The clients: each answers what it gets, so that one message of each is always under way.
    let began = Instant::now();
    let (events, inbox) = bounded(1000);
    let connecting = thread::spawn(move || {
        (0..connections).try_for_each(|n| {
            let client = ClientBuilder::new(&url).deliver_to(events.clone(), n);
            client.connect()?.send("hello").map_err(wsync::Error::from)
        })
    });
    let (mut clients, mut received) = (HashMap::new(), 0);
    while received < connections * ROUNDS {
        match inbox.recv()? {
            Event::Opened { key, sender } => drop(clients.insert(key, sender)),
            Event::Message { key, message } => {
                received += 1;
                clients[&key].send(message)?;
            }
            Event::Closed { key, error, .. } => return Err(format!("{key}: {error:?}").into()),
            _ => {}
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    connecting.join().expect("connecting does not panic")?;

    drop(stop);
    let (most, answered) = serving.join().expect("serving does not panic");
    println!("{most} connections at once, {answered} messages answered by 1 thread");
    println!(
        "{:.0} messages/s, there and back",
        received as f64 / seconds
    );
    println!("4 threads of the application: accept, serve, connect, receive");
    drop(clients);
    Ok(server.shutdown()?)
}

/// Answers until told to stop. Returns the most connections at once, and the messages.
fn serve(inbox: &Receiver<Event<usize>>, stopped: &Receiver<()>) -> (usize, usize) {
    let mut open: HashMap<usize, Sender> = HashMap::new();
    let (mut most, mut answered) = (0, 0);
    let ticker = tick(Duration::from_millis(500));
    loop {
        select! {
            recv(inbox) -> event => match event {
                Ok(Event::Opened { key, sender }) => drop(open.insert(key, sender)),
                Ok(Event::Message { key, message }) => {
                    answered += usize::from(open[&key].send(message).is_ok());
                }
                Ok(Event::Closed { key, .. }) => drop(open.remove(&key)),
                _ => return (most, answered),
            },
            recv(ticker) -> _ => println!("{} open, {answered} answered", open.len()),
            recv(stopped) -> _ => return (most, answered),
        }
        most = most.max(open.len());
    }
}

/// As many as the system allows.
#[cfg(unix)]
fn descriptors() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let current = limit.maximum;
    let raised = setrlimit(Resource::Nofile, Rlimit { current, ..limit });
    let now = if raised.is_ok() {
        current
    } else {
        limit.current
    };
    now.map_or(usize::MAX, |n| n as usize)
}

#[cfg(not(unix))]
fn descriptors() -> usize {
    usize::MAX
}
