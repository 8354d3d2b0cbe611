//! What may cross threads, what stays small, and what stays hidden.

#![allow(clippy::unwrap_used)]

use wsync::{
    Accept, CancelToken, ClientBuilder, CloseFrame, Closed, Config, Error, Event, HandshakeError,
    Incoming, Message, MessageKind, MessageReader, MessageWriter, QueueView, Receiver, RecvError,
    RecvOrError, RecvTimeoutError, SendError, Sender, Server, ServerBuilder, Text, TlsConfig,
    TlsError, TryRecvError, Upgrade, WebSocket,
};

const fn crosses_threads<T: Send + Sync + 'static>() {}

const _: () = {
    crosses_threads::<WebSocket>();
    crosses_threads::<Sender>();
    crosses_threads::<Receiver>();
    crosses_threads::<wsync::IntoIter>();
    crosses_threads::<Server>();
    crosses_threads::<ServerBuilder>();
    crosses_threads::<Incoming>();
    crosses_threads::<Accept>();
    crosses_threads::<ClientBuilder>();
    crosses_threads::<TlsConfig>();
    crosses_threads::<Config>();
    crosses_threads::<Message>();
    crosses_threads::<MessageKind>();
    crosses_threads::<MessageWriter<'static>>();
    crosses_threads::<Text>();
    crosses_threads::<CloseFrame>();
    crosses_threads::<Closed>();
    crosses_threads::<Error>();
    crosses_threads::<SendError>();
    crosses_threads::<RecvError>();
    crosses_threads::<TryRecvError>();
    crosses_threads::<RecvTimeoutError>();
    crosses_threads::<RecvOrError>();
    crosses_threads::<QueueView>();
    crosses_threads::<MessageReader<'static>>();
    crosses_threads::<CancelToken>();
    crosses_threads::<Event<u32>>();
    crosses_threads::<HandshakeError>();
    crosses_threads::<TlsError>();
    crosses_threads::<Upgrade>();
};

const fn is_cloned<T: Clone>() {}

const _: () = {
    is_cloned::<Sender>();
    is_cloned::<Server>();
    is_cloned::<ClientBuilder>();
    is_cloned::<TlsConfig>();
    is_cloned::<Config>();
    is_cloned::<QueueView>();
    is_cloned::<CancelToken>();
    is_cloned::<Message>();
    is_cloned::<Closed>();
    is_cloned::<Error>();
};

#[test]
fn handles_show_nothing_of_the_messages_that_pass_through_them() {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let mut incoming = server.incoming().unwrap();
    let accepting = std::thread::spawn(move || incoming.next().unwrap().accept().unwrap());
    let client = wsync::connect(&format!("ws://{}/", server.local_addr())).unwrap();
    let accepted = accepting.join().unwrap();
    // As text, or as the numbers of its bytes.
    for text in ["feed", "send"] {
        client.feed(format!("Xyzzy {text}")).unwrap();
        let shown = format!("{client:?} {accepted:?} {:?}", accepted.queue());
        assert!(
            !shown.contains("yzzy") && !shown.contains("121, 122"),
            "{shown}"
        );
        client.flush().unwrap();
        while accepted.is_empty() {
            std::thread::yield_now();
        }
        let shown = format!("{accepted:?} {:?}", accepted.recv_streaming().unwrap());
        assert!(
            !shown.contains("yzzy") && !shown.contains("121, 122"),
            "{shown}"
        );
    }
}

#[test]
fn an_error_is_small() {
    assert!(size_of::<Error>() <= 32, "{}", size_of::<Error>());
    assert!(size_of::<Result<(), Error>>() <= 32);
}

#[test]
fn a_message_is_small() {
    assert!(size_of::<Message>() <= 40, "{}", size_of::<Message>());
}
