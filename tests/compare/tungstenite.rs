//! What docs/COMPARE.md says of tungstenite, shown by running it.
//!
//! A test says what the library does, not what it should do.

use crate::common::{LATE, spawn, watchdog};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket, accept, client, connect};

/// How long something is watched that must not happen.
const WATCHED: Duration = Duration::from_millis(500);

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";

fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (ours, listener.accept().unwrap().0)
}

/// Two ends that have agreed without a handshake.
fn ends() -> (WebSocket<TcpStream>, WebSocket<TcpStream>) {
    let (ours, theirs) = sockets();
    (
        WebSocket::from_raw_socket(ours, Role::Client, None),
        WebSocket::from_raw_socket(theirs, Role::Server, None),
    )
}

fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[test]
#[ignore = "shows another library, tungstenite"]
fn behind_a_mutex_a_send_waits_for_a_read() {
    watchdog(30, || {
        let (ours, mut theirs) = ends();
        let shared = Arc::new(Mutex::new(ours));
        let (locked, has_locked) = mpsc::channel();
        let reading = shared.clone();
        let reading = spawn(move || {
            let mut ws = reading.lock().unwrap();
            locked.send(()).unwrap();
            ws.read().unwrap()
        });
        has_locked.recv_timeout(LATE).unwrap();
        let (sent, has_sent) = mpsc::channel();
        let sending = spawn(move || {
            shared.lock().unwrap().send(Message::text("out")).unwrap();
            sent.send(()).unwrap();
        });
        assert!(has_sent.recv_timeout(WATCHED).is_err());
        theirs.send(Message::text("in")).unwrap();
        has_sent.recv_timeout(LATE).unwrap();
        sending.within(LATE, "sending");
        assert_eq!(reading.within(LATE, "reading"), Message::text("in"));
    });
}

#[test]
#[ignore = "shows another library, tungstenite"]
fn a_send_has_the_deadline_of_the_socket_and_what_is_left_stays_buffered() {
    watchdog(30, || {
        let (mut ours, mut theirs) = ends();
        let timeout = Some(Duration::from_millis(50));
        ours.get_ref().set_write_timeout(timeout).unwrap();
        let message = Message::binary(vec![0; 32 << 20]);
        match ours.send(message.clone()) {
            Err(Error::Io(e)) if e.kind() == ErrorKind::WouldBlock => {}
            other => panic!("{other:?}"),
        }
        theirs.set_config(|config| config.max_frame_size = None);
        let reading = spawn(move || theirs.read().unwrap());
        while let Err(Error::Io(e)) = ours.flush() {
            assert_eq!(e.kind(), ErrorKind::WouldBlock);
        }
        assert_eq!(reading.within(LATE, "reading"), message);
    });
}

#[test]
#[ignore = "shows another library, tungstenite"]
fn a_message_is_sent_in_pieces_by_frames_of_ones_own_and_received_whole() {
    watchdog(30, || {
        let (mut ours, mut theirs) = ends();
        for (code, last) in [(Data::Text, false), (Data::Continue, true)] {
            let frame = Frame::message(b"half ".to_vec(), OpCode::Data(code), last);
            ours.send(Message::Frame(frame)).unwrap();
        }
        assert_eq!(theirs.read().unwrap(), Message::text("half half "));
    });
}

#[test]
#[ignore = "shows another library, tungstenite"]
fn messages_are_bounded_to_64_mib_and_frames_to_16() {
    let config = WebSocketConfig::default();
    assert_eq!(config.max_message_size, Some(64 << 20));
    assert_eq!(config.max_frame_size, Some(16 << 20));
    assert_eq!(config.max_write_buffer_size, usize::MAX);
    assert_eq!(config.read_buffer_size, 128 << 10);
}

#[test]
#[ignore = "shows another library, tungstenite"]
fn neither_compression_nor_pings_are_its_own() {
    watchdog(30, || {
        let (ours, mut theirs) = sockets();
        let opening = spawn(move || client("ws://localhost/", ours).is_ok());
        let request = head(&mut theirs).to_lowercase();
        assert!(request.starts_with("get / http/1.1"), "{request}");
        assert!(!request.contains("sec-websocket-extensions"), "{request}");
        drop(theirs);
        assert!(!opening.within(LATE, "opening"));

        let (mut ours, mut theirs) = ends();
        let waiting = spawn(move || ours.read().is_ok());
        theirs.get_ref().set_read_timeout(Some(WATCHED)).unwrap();
        assert!(matches!(theirs.read(), Err(Error::Io(e)) if e.kind() == ErrorKind::WouldBlock));
        drop(theirs);
        assert!(!waiting.within(LATE, "waiting"));
    });
}

/// A port whose clients are sent to `location`, and the heads of their requests.
fn redirecting(location: String) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let (heads, asked) = mpsc::channel();
    spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            heads.send(head(&mut stream)).unwrap();
            let answer = format!(
                "HTTP/1.1 302 Found\r\nLocation: {location}\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (url, asked)
}

#[test]
#[ignore = "shows another library, tungstenite"]
fn redirects_to_absolute_addresses_are_followed_with_the_first_host() {
    watchdog(30, || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap();
        let (url, asked) = redirecting(format!("ws://{target}/"));
        let first = url[5..url.len() - 1].to_owned();
        let opening = spawn(move || connect(url).is_ok());
        let mut stream = listener.accept().unwrap().0;
        let request = head(&mut stream).to_lowercase();
        assert!(request.contains(&format!("host: {first}\r\n")), "{request}");
        assert!(!request.contains("cookie"), "{request}");
        asked.recv_timeout(LATE).unwrap();
        drop(stream);
        assert!(!opening.within(LATE, "opening"));

        let (url, asked) = redirecting("/there".into());
        let error = spawn(move || connect(url).unwrap_err()).within(LATE, "opening");
        assert!(matches!(error, Error::Url(_)), "{error:?}");
        asked.recv_timeout(LATE).unwrap();
    });
}

#[test]
#[ignore = "shows another library, tungstenite"]
fn a_host_in_another_script_is_refused_as_text() {
    let error = connect("ws://bücher.example/").unwrap_err();
    assert!(
        matches!(error, Error::Url(_) | Error::HttpFormat(_)),
        "{error:?}"
    );
}

#[cfg(unix)]
#[test]
#[ignore = "shows another library, tungstenite"]
fn both_sides_take_a_stream_of_ones_own() {
    watchdog(30, || {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let serving = spawn(move || accept(theirs).unwrap().read().unwrap());
        let (mut ws, _) = client("ws://localhost/", ours).unwrap();
        ws.send(Message::text("hello")).unwrap();
        assert_eq!(serving.within(LATE, "serving"), Message::text("hello"));
    });
}

#[test]
#[ignore = "shows another library, tungstenite"]
fn pages_of_other_sites_are_let_in() {
    watchdog(30, || {
        let (mut ours, theirs) = sockets();
        let serving = spawn(move || accept(theirs).is_ok());
        let request = format!("{REQUEST}Origin: https://elsewhere.example\r\n\r\n");
        ours.write_all(request.as_bytes()).unwrap();
        assert!(head(&mut ours).starts_with("HTTP/1.1 101"));
        assert!(serving.within(LATE, "serving"));
    });
}

#[test]
#[ignore = "shows another library, tungstenite"]
fn other_requests_get_no_answer() {
    watchdog(30, || {
        let (mut ours, theirs) = sockets();
        let serving = spawn(move || accept(theirs).is_ok());
        ours.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        assert_eq!(head(&mut ours), "");
        assert!(!serving.within(LATE, "serving"));
    });
}

#[test]
#[ignore = "shows another library, tungstenite"]
fn what_another_server_has_read_is_taken_over() {
    let (_ours, theirs) = sockets();
    let frame = b"\x81\x85\0\0\0\0hello".to_vec();
    let mut ws = WebSocket::from_partially_read(theirs, frame, Role::Server, None);
    assert_eq!(ws.read().unwrap(), Message::text("hello"));
}
