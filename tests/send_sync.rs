//! What may cross threads, and what stays small.

use wsync::{
    Accept, ClientBuilder, CloseFrame, Closed, Config, Error, HandshakeError, Incoming, Message,
    MessageKind, MessageWriter, Receiver, RecvError, RecvTimeoutError, SendError, Sender, Server,
    ServerBuilder, Text, TlsConfig, TlsError, TryRecvError, Upgrade, WebSocket,
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
    is_cloned::<Message>();
    is_cloned::<Closed>();
    is_cloned::<Error>();
};

#[test]
fn an_error_is_small() {
    assert!(size_of::<Error>() <= 32, "{}", size_of::<Error>());
    assert!(size_of::<Result<(), Error>>() <= 32);
}

#[test]
fn a_message_is_small() {
    assert!(size_of::<Message>() <= 40, "{}", size_of::<Message>());
}
