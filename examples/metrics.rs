//! cargo run --example metrics
//! cargo run --example metrics -- 0.0.0.0:9001
//!
//! An echo server that tells Prometheus what it counts, at /metrics on the port of its WebSockets. Without an
//! address it is its own client, shows the metrics and ends.

use http::Response;
use std::fmt::Display;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::{io, thread};
use wsync::{Error, Server, ServerStats, WebSocket};

/// For the answers to requests, which are set before there is a server.
static SERVER: OnceLock<Server> = OnceLock::new();

fn main() -> Result<(), Error> {
    if let Some(address) = std::env::args().nth(1) {
        return bind(&address)?.serve(echo);
    }
    let server = bind("127.0.0.1:0")?;
    let serving = thread::spawn(|| server.serve(echo));
    let ws = wsync::connect(&format!("ws://{}/", server.local_addr()))?;
    ws.send_all(["one", "two", "three"])?;
    ws.iter().take(3).try_for_each(|echo| echo.map(drop))?;
    println!("{}", scrape(server.local_addr())?);
    ws.close()?;
    server.shutdown()?;
    serving.join().expect("the server does not panic")
}

pub(crate) fn bind(address: &str) -> Result<&'static Server, Error> {
    let server = Server::builder().on_request(|request| {
        let asked = request.uri().path() == "/metrics";
        let server = SERVER.get().filter(|_| asked)?;
        let mut response = Response::new(exposition(&server.stats()).into_bytes());
        let content_type = "text/plain; version=0.0.4".try_into().ok()?;
        response.headers_mut().insert("Content-Type", content_type);
        Some(response)
    });
    let server = server.bind(address)?;
    Ok(SERVER.get_or_init(|| server))
}

pub(crate) fn echo(ws: WebSocket) {
    let messages = ws.iter().flatten();
    messages.for_each(|message| drop(ws.send(message)));
}

/// The text format 0.0.4 of Prometheus.
#[rustfmt::skip]
fn exposition(stats: &ServerStats) -> String {
    let (all, queue) = (&stats.total, &stats.total.queue);
    let mut text = String::new();
    let mut add = |name, help, value: &dyn Display| {
        let kind = if str::ends_with(name, "_total") { "counter" } else { "gauge" };
        text += &format!("# HELP wsync_{name} {help}\n# TYPE wsync_{name} {kind}\nwsync_{name} {value}\n");
    };
    add("accepted_total", "TCP connections accepted.", &stats.accepted);
    add("refused_total", "Opening handshakes refused.", &stats.refused);
    add("no_place_total", "Those of them for want of a place.", &stats.no_place);
    add("connections_opened_total", "Connections opened.", &stats.opened);
    add("connections", "Connections open now.", &stats.open);
    add("opening", "Opening handshakes under way now.", &stats.opening);
    add("connected_seconds_total", "Time that connections were open.", &all.open_for.as_secs_f64());
    add("messages_received_total", "Messages received.", &queue.received);
    add("messages_sent_total", "Messages sent.", &all.sent);
    add("messages_dropped_total", "Messages received and dropped.", &queue.dropped);
    add("payload_received_bytes_total", "Payload received, uncompressed.", &queue.received_bytes);
    add("payload_sent_bytes_total", "Payload sent, uncompressed.", &all.sent_bytes);
    add("wire_received_bytes_total", "Frames received, within TLS.", &all.wire_received);
    add("wire_sent_bytes_total", "Frames sent, within TLS.", &all.wire_sent);
    add("pings_sent_total", "Pings sent.", &all.pings_sent);
    add("pongs_received_total", "Pongs received.", &all.pongs_received);
    add("paused_seconds_total", "Time that full queues held readers up.", &queue.paused.as_secs_f64());
    add("queue_high_water_messages", "The most messages that waited in a queue.", &all.high_water.messages);
    add("queue_high_water_bytes", "The most bytes that waited in a queue.", &all.high_water.bytes);
    text
}

/// What Prometheus does.
pub(crate) fn scrape(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
