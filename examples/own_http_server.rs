//! cargo run --example own_http_server
//!
//! An HTTP server of one's own that serves a page and hands requests for WebSockets over. Whether a browser's
//! Origin may connect would be for it to check, too.

use http::Request;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{Accept, Negotiated, Role, WebSocket};

type Done<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Done {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || serve(&listener, answer));
    visit(address, "/")
}

/// A browser, and a WebSocket.
pub(crate) fn visit(address: SocketAddr, path: &str) -> Done {
    let mut browser = TcpStream::connect(address)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    browser.write_all(request.as_bytes())?;
    println!("{}", io::read_to_string(browser)?);
    let ws = wsync::connect(&format!("ws://{address}/"))?;
    ws.send("hello")?;
    println!("echo: {:?}", ws.recv()?.as_text());
    println!("closed: {}", ws.close()?);
    Ok(())
}

pub(crate) fn serve(
    listener: &TcpListener,
    answer: impl Fn(TcpStream) -> Done + Copy + Send + 'static,
) {
    for stream in listener.incoming().flatten() {
        thread::spawn(move || answer(stream).map_err(|error| println!("lost: {error}")));
    }
}

pub(crate) fn answer(mut stream: TcpStream) -> Done {
    let (request, mut bytes, end) = read_request(&mut stream)?;
    if wants_websocket(&request) {
        return echo(stream, &request, bytes.split_off(end));
    }
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\n";
    Ok(write!(stream, "{head}a page")?)
}

pub(crate) fn wants_websocket(request: &Request<()>) -> bool {
    let upgrade = request.headers().get("upgrade");
    upgrade.is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Sends back what comes. `leftover` is what was read behind the request.
pub(crate) fn echo(mut stream: TcpStream, request: &Request<()>, leftover: Vec<u8>) -> Done {
    let Ok((response, negotiated)) = Negotiated::answer(request, Accept::new()) else {
        return Ok(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")?);
    };
    let mut head = b"HTTP/1.1 101 Switching Protocols\r\n".to_vec();
    for (name, value) in response.headers() {
        head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    stream.write_all(&[&head[..], b"\r\n"].concat())?;
    let ws = WebSocket::from_parts(stream, Role::Server, leftover, negotiated)?;
    ws.iter().try_for_each(|message| Ok(ws.send(message?)?))
}

/// A request, all that was read, and where in it the head ends. A head has 10 s and 16 KiB.
pub(crate) fn read_request(stream: &mut TcpStream) -> Done<(Request<()>, Vec<u8>, usize)> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    while bytes.len() < 16 << 10 {
        // None left is an error.
        let left = deadline.saturating_duration_since(Instant::now());
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk)? {
            0 => return Err("the client left".into()),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Request::new(&mut headers);
        if let httparse::Status::Complete(end) = head.parse(&bytes)? {
            let request = Request::builder().method(head.method.unwrap_or_default());
            let request = request.uri(head.path.unwrap_or_default());
            let lines = head.headers.iter();
            let request = lines.fold(request, |made, line| made.header(line.name, line.value));
            stream.set_read_timeout(None)?;
            return Ok((request.body(())?, bytes, end));
        }
    }
    Err("the head is too long".into())
}
