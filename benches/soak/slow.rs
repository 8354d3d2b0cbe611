//! soak slow-consumer: producers at full speed, and a consumer that pauses and then takes everything.
//!
//!     --connections 100   --pause-secs 120   --more-secs 2 (how long producers go on when the pause is over)
//!     --queue-bytes 4194304   --queue-messages 1024   --recv-buffer BYTES (SO_RCVBUF)
//!
//! The server is in this process, with a handler for each connection that calls `recv`. The producers are bare
//! sockets in another, so that the memory of this one is the library's. Message n of connection c follows from these
//! two numbers: order and content of each are checked, and the count at the end.

pub(crate) mod produce;

use crate::Failure;
use crate::bytes::{Content, LAST, numbers};
use crate::options::Options;
use crate::process::{Usage, Watch};
use crate::report::Report;
use produce::Produced;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;
use wsync::{Config, Error, QueueView, Server, WebSocket};

/// How long all that is queued may take at the end.
const DRAINING: Duration = Duration::from_secs(120);

/// What one connection came to.
struct Taken {
    messages: u64,
    bytes: u64,
    error: Option<String>,
}

pub(crate) fn run(options: &mut Options) -> Result<Report, Failure> {
    let connections: usize = options.or("connections", 100)?;
    let pause = options.seconds("pause-secs", 120.0)?;
    let more = options.seconds("more-secs", 2.0)?;
    let mut config = Config::server();
    config.queue.bytes = options.or("queue-bytes", 4 << 20)?;
    config.queue.messages = options.or("queue-messages", 1024)?;
    config.socket.recv_buffer = options.get("recv-buffer")?;
    options.finish()?;

    let server = Server::builder()
        .config(config.clone())
        .bind("127.0.0.1:0")?;
    let resume = Arc::new(Barrier::new(connections + 1));
    let (queues, taken) = serve(&server, &resume);
    let start = Usage::of(std::process::id())?;
    let watch = Watch::start(std::process::id(), Duration::from_millis(200));
    let child = produce(&server, connections, pause + more)?;
    let views = (0..connections).map(|_| queues.recv_timeout(Duration::from_secs(30)));
    let views = views.collect::<Result<Vec<_>, _>>()?;
    thread::sleep(pause);
    let queued: Vec<_> = views
        .iter()
        .map(|view| (view.len(), view.bytes()))
        .collect();
    let full = queued.iter().filter(|(messages, bytes)| {
        *messages >= config.queue.messages || *bytes >= config.queue.bytes
    });
    let full = full.count();
    resume.wait();
    drop(views);
    let results = (0..connections).map(|_| taken.recv_timeout(more + DRAINING));
    let results: Vec<Taken> = results.map_while(Result::ok).collect();
    let peak = watch.peak(start);
    let produced = Produced::of(child)?;
    server.shutdown()?;
    let growth = peak.anon.saturating_sub(start.anon) as f64 / connections as f64;
    let allowed = bound(&config) as f64 / 1024.0;

    let mut report = Report::new("slow-consumer");
    report.field("connections", connections);
    report.decimal("pause_secs", pause.as_secs_f64());
    report.field("queues_full_after_the_pause", full);
    report.field("queued_bytes", queued.iter().map(|(_, n)| n).sum::<usize>());
    report.decimal("least_time_blocked_secs", produced.least_stall);
    report.decimal("growth_per_connection_kib", growth);
    report.decimal("allowed_per_connection_kib", allowed);
    report.field("start", start);
    report.field("peak", peak);
    report_delivery(&results, &produced, &mut report);
    report.bound(results.len() != connections, "each connection ends");
    report.bound(full != connections, "all queues are full after the pause");
    let blocked = produced.least_stall >= pause.as_secs_f64() / 2.0;
    report.bound(!blocked, "each producer is blocked for most of the pause");
    report.bound(
        growth > allowed,
        format_args!("growth <= {allowed:.0} KiB a connection"),
    );
    Ok(report)
}

fn report_delivery(results: &[Taken], produced: &Produced, report: &mut Report) {
    let sum = |of: fn(&Taken) -> u64| results.iter().map(of).sum::<u64>();
    let received = sum(|taken| taken.messages);
    report.field("sent", produced.messages);
    report.field("received", received);
    report.field("received_bytes", sum(|taken| taken.bytes));
    let errors: Vec<_> = results.iter().filter_map(|t| t.error.as_deref()).collect();
    report.field("errors", errors.len());
    if let Some(error) = errors.first() {
        report.field("first_error", format_args!("{error:?}"));
    }
    report.bound(!errors.is_empty(), "each in order and whole");
    report.bound(produced.failures > 0, "no producer fails");
    report.bound(received != produced.messages, "nothing is lost");
}

/// What a connection may need at most, in bytes: the table at `Limits`, for one that sends nothing.
fn bound(config: &Config) -> usize {
    const STACK: usize = 64 << 10;
    const READ: usize = 128 << 10;
    const ENTRY: usize = 100;
    const CONTROL: usize = 600;
    let message = config.limits.message;
    let queue = config.queue.bytes + message + config.queue.messages * ENTRY;
    STACK + READ + message * 3 / 2 + queue + 2 * config.limits.outbox + CONTROL
}

/// Serves in the background: the queues of connections as they come, and what they came to.
fn serve(server: &Server, resume: &Arc<Barrier>) -> (Receiver<QueueView>, Receiver<Taken>) {
    let ((queue, queues), (result, results)) = (mpsc::channel(), mpsc::channel());
    let (server, resume) = (server.clone(), Arc::clone(resume));
    let content = Content::new();
    thread::spawn(move || {
        server.serve(move |ws| {
            let _ = queue.send(ws.queue());
            resume.wait();
            let _ = result.send(take(&ws, &content));
        })
    });
    (queues, results)
}

/// Takes until the end and checks each.
fn take(ws: &WebSocket, content: &Content) -> Taken {
    let mut taken = Taken {
        messages: 0,
        bytes: 0,
        error: None,
    };
    let mut announced = None;
    let error = loop {
        let message = match ws.recv() {
            Ok(message) => message,
            Err(error) => break error.into(),
        };
        let bytes = message.as_bytes();
        let Some((n, second)) = numbers(bytes) else {
            taken.error = Some("too short".into());
            return taken;
        };
        if n == LAST {
            announced = Some(second);
            continue;
        }
        if n != taken.messages || !content.is(bytes, second, n) {
            taken.error = Some(format!("number {n} in place of {}", taken.messages));
            return taken;
        }
        taken.messages += 1;
        taken.bytes += bytes.len() as u64;
    };
    if announced != Some(taken.messages) {
        taken.error = Some(format!(
            "{announced:?} messages announced, {} came",
            taken.messages
        ));
    }
    if !matches!(&error, Error::Closed(closed) if closed.is_normal()) {
        taken.error = Some(error.to_string());
    }
    taken
}

fn produce(server: &Server, connections: usize, time: Duration) -> Result<Child, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["produce", "--server", &server.local_addr().to_string()]);
    command.args(["--connections", &connections.to_string()]);
    command.args(["--secs", &time.as_secs_f64().to_string()]);
    Ok(command.stdout(Stdio::piped()).spawn()?)
}
