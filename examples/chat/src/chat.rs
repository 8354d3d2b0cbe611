//! One server, put together.
//!
//! ```text
//! browser --> connection --> broker --> recorder --> history (SQLite)
//!    ^                                      |
//!    `----------------- rooms <-------------'
//! ```

use crate::broker::{Broker, Choice};
use crate::history;
use crate::monitor;
use crate::protocol::now;
use crate::recorder::{BATCH, Recorder};
use crate::rooms::{self, Rooms};
use crate::{connection, web};
use crossbeam_channel::bounded;
use http::StatusCode;
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use wsync::{Compression, Config, Hub, ServerStats, ShutdownReport, Upgrade};

pub struct Settings {
    pub listen: String,
    /// Defaults to the address.
    pub name: Option<String>,
    /// Defaults to memory.
    pub history: Option<PathBuf>,
    pub broker: Choice,
    /// Messages of each browser in a second.
    pub rate: u32,
    pub rooms: usize,
}

/// What the threads of a server share.
pub struct Context {
    pub name: String,
    pub broker_name: &'static str,
    pub broker: Arc<dyn Broker>,
    pub rooms: Rooms,
    pub monitors: Hub,
    pub rate: u32,
    /// The number of the next connection.
    pub next: AtomicU64,
    is_stopping: AtomicBool,
    recorder: Recorder,
    server: OnceLock<wsync::Server>,
}

impl Context {
    /// Why no browsers should come here, if they should not.
    pub fn trouble(&self) -> Option<&'static str> {
        if self.is_stopping.load(Ordering::Relaxed) {
            return Some("stopping");
        }
        if !self.broker.is_up() {
            return Some("the broker is away");
        }
        (!self.recorder.works()).then_some("the history cannot be written")
    }

    pub fn stats(&self) -> ServerStats {
        let server = self.server.get();
        server.map(wsync::Server::stats).unwrap_or_default()
    }
}

pub struct Chat {
    context: Arc<Context>,
    server: wsync::Server,
}

impl Chat {
    /// Listens, and is connected to its broker or trying to be.
    pub fn start(settings: Settings) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let listener = wsync::Listener::tcp(&*settings.listen)?;
        let address = listener.local_addr()?.to_string();
        let name = settings.name.unwrap_or_else(|| address.clone());
        let instance = format!("{name} {address} {} {}", std::process::id(), now());
        let (writer, reader) = history::open(settings.history.as_deref())?;
        let newest = writer.last()?;
        let (deliver, deliveries) = bounded(BATCH);
        let broker = settings.broker.connect(newest, deliver)?;
        let about = rooms::Server {
            instance,
            most_rooms: settings.rooms,
            is_shared: settings.broker.is_shared(),
        };
        let rooms = Rooms::start(about, reader, newest, Arc::clone(&broker))?;
        let recorder = Recorder::start(writer, deliveries, rooms.clone())?;
        let context = Arc::new(Context {
            name,
            broker_name: settings.broker.name(),
            broker,
            rooms,
            monitors: monitor::hub(),
            rate: settings.rate,
            next: AtomicU64::new(1),
            is_stopping: AtomicBool::new(false),
            recorder,
            server: OnceLock::new(),
        });
        let answering = Arc::downgrade(&context);
        let server = wsync::Server::builder()
            .config(config())
            .on_request(move |request| web::answer(request, &*answering.upgrade()?))
            .listen(listener)
            .build()?;
        let _ = context.server.set(server.clone());
        monitor::start(&context)?;
        Ok(Chat { context, server })
    }

    pub fn address(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Until [`stop`](Self::stop).
    pub fn serve(&self) -> Result<(), wsync::Error> {
        let context = Arc::clone(&self.context);
        self.server.serve_upgrades(move |upgrade| {
            if let Ok(upgrade) = upgrade {
                serve(upgrade, &context);
            }
        })
    }

    /// What the monitor shows.
    #[cfg(test)]
    pub fn look(&self) -> rooms::Look {
        self.context.rooms.look()
    }

    /// From now on a load balancer is told to send nobody here.
    pub fn drain(&self) {
        self.context.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Tells all browsers that it goes away, and ends: the history is closed.
    pub fn stop(&self, within: Duration) -> ShutdownReport {
        self.drain();
        let report = self.server.shutdown_within(within);
        self.context.recorder.stop();
        self.context.rooms.stop();
        report
    }
}

fn serve(upgrade: Upgrade, context: &Context) {
    match upgrade.request().uri().path() {
        "/ws" => connection::serve(upgrade, context),
        "/monitor/ws" => monitor::serve(upgrade, &context.monitors),
        _ => drop(upgrade.reject(StatusCode::NOT_FOUND, "there is no WebSocket\n")),
    }
}

/// Bounds for each browser: its memory here is its queue, its outbox and the kernel's buffer.
fn config() -> Config {
    let mut config = Config::server();
    config.limits.message = 16 << 10;
    config.limits.outbox = 32 << 10;
    config.queue.messages = 64;
    config.queue.bytes = 64 << 10;
    config.socket.send_buffer = Some(64 << 10);
    config.keepalive.interval = Some(Duration::from_secs(2));
    config.keepalive.timeout = Some(Duration::from_secs(30));
    let mut compression = Compression::server();
    // What is said is mostly short, and each browser's context would take memory.
    compression.min_size = 512;
    compression.server_no_context_takeover = true;
    compression.client_no_context_takeover = true;
    config.compression = Some(compression);
    config
}
