//! cargo run --example select_many
//!
//! One thread for a thousand connections: their events come in one channel, and `select!` waits for them, for a timer
//! and for a signal to stop at once. The clients are here too.

use crossbeam_channel::{Receiver, bounded, select, tick};
use std::collections::HashMap;
use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};
use wsync::{Event, Sender, Server};

const CONNECTIONS: usize = 1000;
const ROUNDS: usize = 20;

fn main() -> Result<(), Box<dyn Error>> {
    #[cfg(unix)]
    more_descriptors();
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

    let connect = |_| wsync::connect(&url);
    let clients: Vec<_> = (0..CONNECTIONS).map(connect).collect::<Result<_, _>>()?;
    let began = Instant::now();
    for _ in 0..ROUNDS {
        clients.iter().try_for_each(|ws| ws.send("hello"))?;
        for ws in &clients {
            ws.recv()?;
        }
    }
    let rate = (CONNECTIONS * ROUNDS) as f64 / began.elapsed().as_secs_f64();

    // Dropping it is the signal.
    drop(stop);
    let (most, answered) = serving.join().expect("serving does not panic");
    println!("{most} connections at once, {answered} messages answered by 1 thread");
    println!("{rate:.0} messages/s, there and back");
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
                    // It must not wait for one of them. Who does not read may lose an answer.
                    answered += usize::from(open[&key].try_send(message).is_ok());
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

/// As many as the system allows: both ends of each connection are here.
#[cfg(unix)]
fn more_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current, ..limit });
}
