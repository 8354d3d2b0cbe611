//! A slow line: a relay on the loopback that lets so many bytes a second through to the browser.

use rustix::net::sockopt::set_socket_recv_buffer_size;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// A slow line carries a part of its bytes in each.
const STEP: Duration = Duration::from_millis(50);
const FULL_SPEED: usize = 64 << 10;

/// Its threads end with the connections.
pub struct Relay {
    pub port: u16,
    /// To the browser, in each step.
    bytes: Arc<AtomicUsize>,
}

impl Relay {
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay {
            port: listener.local_addr().unwrap().port(),
            bytes: Arc::new(AtomicUsize::new(FULL_SPEED)),
        };
        let bytes = Arc::clone(&relay.bytes);
        thread::spawn(move || {
            for browser in listener.incoming().map_while(Result::ok) {
                // While the server is away, the browser sees the end of its connection at once.
                if let Ok(server) = TcpStream::connect(("127.0.0.1", server)) {
                    let _ = carry(browser, server, &bytes);
                }
            }
        });
        relay
    }

    pub fn slow_down(&self, bytes_per_second: usize) {
        let steps = Duration::from_secs(1).div_duration_f64(STEP) as usize;
        self.bytes.store(bytes_per_second / steps, Ordering::SeqCst);
    }

    pub fn speed_up(&self) {
        self.bytes.store(FULL_SPEED, Ordering::SeqCst);
    }
}

fn carry(browser: TcpStream, server: TcpStream, bytes: &Arc<AtomicUsize>) -> io::Result<()> {
    browser.set_nodelay(true)?;
    server.set_nodelay(true)?;
    // What the kernel takes here is of no use to the browser, and the server would see a line that is quick for a while.
    set_socket_recv_buffer_size(&server, 16 << 10)?;
    let (from_browser, to_server) = (browser.try_clone()?, server.try_clone()?);
    let full_speed = AtomicUsize::new(FULL_SPEED);
    thread::spawn(move || drop(copy(&from_browser, &to_server, &full_speed)));
    let bytes = Arc::clone(bytes);
    thread::spawn(move || drop(copy(&server, &browser, &bytes)));
    Ok(())
}

/// Until the end of either side, which the other one is told.
fn copy(mut from: &TcpStream, mut to: &TcpStream, bytes: &AtomicUsize) -> io::Result<()> {
    let mut buffer = vec![0; FULL_SPEED];
    loop {
        let most = bytes.load(Ordering::SeqCst);
        if most < FULL_SPEED {
            thread::sleep(STEP);
        }
        let size = from.read(&mut buffer[..most]).unwrap_or(0);
        if size == 0 || to.write_all(&buffer[..size]).is_err() {
            let _ = from.shutdown(Shutdown::Both);
            return to.shutdown(Shutdown::Both);
        }
    }
}
