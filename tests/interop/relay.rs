//! A relay on the loopback that counts what passes.

#![allow(clippy::unwrap_used)]

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Relays one connection.
pub(crate) struct Relay {
    pub(crate) port: u16,
    to_server: Arc<AtomicU64>,
    to_client: Arc<AtomicU64>,
}

impl Relay {
    pub(crate) fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay {
            port: listener.local_addr().unwrap().port(),
            to_server: Arc::default(),
            to_client: Arc::default(),
        };
        let (to_server, to_client) = (relay.to_server.clone(), relay.to_client.clone());
        thread::spawn(move || {
            let (client, _) = listener.accept().unwrap();
            let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
            let (from_server, into_client) =
                (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || copy(&from_server, &into_client, &to_client));
            let _ = copy(&client, &server, &to_server);
        });
        relay
    }

    /// The bytes that went to the server, and to the client. What has arrived is counted.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (
            self.to_server.load(Ordering::SeqCst),
            self.to_client.load(Ordering::SeqCst),
        )
    }
}

fn copy(mut from: &TcpStream, mut to: &TcpStream, count: &AtomicU64) -> io::Result<()> {
    to.set_nodelay(true)?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let size = from.read(&mut buffer)?;
        if size == 0 {
            return to.shutdown(Shutdown::Write);
        }
        count.fetch_add(size as u64, Ordering::SeqCst);
        to.write_all(&buffer[..size])?;
    }
}
