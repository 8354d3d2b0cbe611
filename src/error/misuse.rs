//! Calls that cannot be.

use super::Error;
use crate::close::{CloseCode, MAX_REASON};
use std::fmt;

/// A call that the protocol or the configuration does not allow.
///
/// # Examples
///
/// ```
/// use wsync::{Error, Misuse};
///
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// # let ws = wsync::connect(&url)?;
/// let error = ws.ping([0; 126]).unwrap_err();
/// assert!(matches!(error, Error::Misuse(Misuse::ControlPayload(126))));
/// ws.ping("the connection is unharmed")?;
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// A close code that must not be sent (RFC 6455 section 7.4).
    CloseCode(CloseCode),
    /// A close reason of so many bytes, above [`MAX_REASON`].
    CloseReason(usize),
    /// The payload of a ping or pong of so many bytes, above 125 (RFC 6455 section 5.5).
    ControlPayload(usize),
    /// A header name or value that HTTP does not allow, or one that the handshake sets itself.
    Header,
    /// A cookie that is none, or that its address may not set (RFC 6265 section 5.3).
    Cookie,
    /// A subprotocol that is not a token, or named twice (RFC 6455 section 4.1).
    Subprotocol,
    /// A subprotocol, response or header that does not fit the request.
    Response,
    /// A callback panicked; its connection was failed with 1011.
    Panic,
    /// A call that waits for the connection, made in a callback that the connection waits for.
    InCallback,
    /// [`Upgrade::run`](crate::Upgrade::run) without a callback or a channel to run for.
    NoDelivery,
    /// Text that is not UTF-8, given to a [`MessageWriter`](crate::MessageWriter) (RFC 6455 section 8.1).
    Utf8,
    /// A pattern or a host of `Routes` that cannot be, and why.
    Route(&'static str),
    /// A value of the configuration that cannot work, such as a queue of 0 messages.
    Config(&'static str),
}

plain_error!(Misuse, Misuse, Header, "misuse.header", {
    Misuse::CloseCode(code) => "misuse.close_code", "the close code {code} must not be sent";
    Misuse::CloseReason(length) => "misuse.close_reason", "a close reason of {length} bytes, {MAX_REASON} are allowed";
    Misuse::ControlPayload(length) => "misuse.control_payload", "a ping or pong of {length} bytes, 125 are allowed";
    Misuse::Header => "misuse.header", "a header that HTTP does not allow or that the handshake sets itself";
    Misuse::Cookie => "misuse.cookie", "a cookie that is none, or that the address may not set";
    Misuse::Subprotocol => "misuse.subprotocol", "a subprotocol that is not a token, or is named twice";
    Misuse::Response => "misuse.response", "a response that does not fit the request";
    Misuse::Panic => "misuse.panic", "a callback panicked";
    Misuse::InCallback => "misuse.in_callback", "a callback must not wait for its own connection";
    Misuse::NoDelivery => "misuse.no_delivery", "neither a callback nor a channel for the messages";
    Misuse::Utf8 => "misuse.utf8", "text that is not UTF-8";
    Misuse::Route(what) => "misuse.route", "a route that cannot be: {what}";
    Misuse::Config(what) => "misuse.config", "{what}";
});
