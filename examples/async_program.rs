//! cargo run --example async_program --features stream
//!
//! A connection within an async program: a task of tokio takes its messages as a stream, beside a timer and what others
//! want to send, a task and a plain thread. What waits for the network runs on tokio's threads for blocking calls.

use futures_util::StreamExt;
use std::error::Error;
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{interval, sleep};
use wsync::{Message, Sender, Server, TrySendError};

const ORDERS: usize = 50;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::bind("127.0.0.1:0")?;
    let url = format!("ws://{}/", server.local_addr());
    thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));

    let ws = spawn_blocking(move || wsync::connect(&url)).await??;
    let (sender, receiver) = ws.split();
    let mut messages = receiver.into_stream();

    let (orders, mut inbox) = mpsc::channel(16);
    let of_thread = orders.clone();
    thread::spawn(move || {
        (1..=ORDERS).try_for_each(|n| {
            thread::sleep(Duration::from_millis(5));
            of_thread.blocking_send(format!("order {n} of a thread"))
        })
    });
    tokio::spawn(async move {
        for n in 1..=ORDERS {
            sleep(Duration::from_millis(10)).await;
            orders.send(format!("order {n} of a task")).await?;
        }
        Ok::<_, mpsc::error::SendError<_>>(())
    });

    let mut timer = interval(Duration::from_millis(200));
    let (mut sent, mut answered) = (0, 0);
    while answered < 2 * ORDERS {
        // Nothing is lost where another branch was ready first.
        tokio::select! {
            Some(order) = inbox.recv() => {
                send(&sender, order).await?;
                sent += 1;
            }
            message = messages.next() => {
                message.ok_or("closed too early")??;
                answered += 1;
            }
            _ = timer.tick() => println!("{sent} sent, {answered} answered"),
        }
    }
    let closed = spawn_blocking(move || sender.close()).await??;
    println!("{sent} sent, {answered} answered; {closed}");
    Ok(())
}

/// Mostly there is room at once. Where there is none, a send waits for the peer, which a task must not.
async fn send(sender: &Sender, message: impl Into<Message>) -> Result<(), wsync::Error> {
    match sender.try_send(message) {
        Err(TrySendError::Full(message)) => {
            let sender = sender.clone();
            let sent = spawn_blocking(move || sender.send(message)).await;
            Ok(sent.expect("a send does not panic")?)
        }
        sent => Ok(sent?),
    }
}
