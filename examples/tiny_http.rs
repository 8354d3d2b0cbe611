//! cargo run --example tiny_http
//!
//! WebSockets on the port of a tiny_http server. Its own `Request::upgrade` gives one boxed stream that cannot be
//! split: whoever waits in a read keeps all others from writing. So the port is ours. Requests for WebSockets stay
//! here, with what was read behind them; all else is copied to and from tiny_http on a port of the loopback, from
//! where it sees its clients come. A connection is of one kind: browsers make a new one for a WebSocket.

#[allow(dead_code)]
#[path = "own_http_server.rs"]
pub(crate) mod own;

use own::{echo, read_request, serve, visit, wants_websocket};
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let inner = pages().map_err(|error| error.to_string())?;
    thread::spawn(move || serve(&listener, move |stream| sort(stream, inner)));
    visit(address, "/a")
}

/// Starts tiny_http, and tells where.
pub(crate) fn pages() -> Result<SocketAddr, Box<dyn Error + Send + Sync>> {
    let server = tiny_http::Server::http("127.0.0.1:0")?;
    let address = server.server_addr().to_ip().ok_or("no address of IP")?;
    thread::spawn(move || {
        for mut request in server.incoming_requests() {
            let mut body = String::new();
            let _ = request.as_reader().take(1 << 20).read_to_string(&mut body);
            let page = format!("{} {} {body}", request.method(), request.url());
            let _ = request.respond(tiny_http::Response::from_string(page));
        }
    });
    Ok(address)
}

/// Reads the head, however many segments it comes in: a `peek` could not wait for the next.
pub(crate) fn sort(mut stream: TcpStream, inner: SocketAddr) -> Result<(), Box<dyn Error>> {
    let (request, mut bytes, end) = read_request(&mut stream)?;
    match wants_websocket(&request) {
        true => echo(stream, &request, bytes.split_off(end)),
        false => Ok(pass_on(stream, &bytes, inner)?),
    }
}

/// To the other server and back, until it has said all.
fn pass_on(mut client: TcpStream, bytes: &[u8], inner: SocketAddr) -> io::Result<()> {
    let mut server = TcpStream::connect(inner)?;
    server.write_all(bytes)?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        to.shutdown(Shutdown::Write)
    });
    let copied = io::copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
    copied.map(drop)
}
