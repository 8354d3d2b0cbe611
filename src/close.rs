//! Close codes, the body of a Close frame, and how a connection ended (RFC 6455 section 7).

use crate::Text;
use crate::error::Misuse;
use std::fmt;

/// The most bytes the reason of a Close frame may have: 125 less the code (RFC 6455 section 5.5).
///
/// # Examples
///
/// ```
/// use wsync::{CloseFrame, MAX_REASON};
///
/// assert!(CloseFrame::new(1000, "x".repeat(MAX_REASON)).is_ok());
/// assert!(CloseFrame::new(1000, "x".repeat(MAX_REASON + 1)).is_err());
/// ```
pub const MAX_REASON: usize = 123;

/// A status code of a Close frame (RFC 6455 section 7.4 and the IANA registry).
///
/// # Examples
///
/// ```
/// use wsync::CloseCode;
///
/// assert_eq!(CloseCode::NORMAL, CloseCode::from(1000));
/// assert!(CloseCode::from(4000).is_sendable());
/// assert!(!CloseCode::ABNORMAL.is_sendable());
/// assert_eq!(CloseCode::GOING_AWAY.to_string(), "1001 (going away)");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// 1001: a server goes down, or a page is left.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode(1002);
    /// 1003: a type of data that cannot be accepted.
    pub const UNSUPPORTED_DATA: CloseCode = CloseCode(1003);
    /// 1005: the Close frame had no code. Never on the wire.
    pub const NO_STATUS: CloseCode = CloseCode(1005);
    /// 1006: the connection ended without a Close frame. Never on the wire.
    pub const ABNORMAL: CloseCode = CloseCode(1006);
    /// 1007: data inconsistent with its type, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: CloseCode = CloseCode(1007);
    /// 1008: a message that violates a policy.
    pub const POLICY_VIOLATION: CloseCode = CloseCode(1008);
    /// 1009: a message too big to process.
    pub const TOO_BIG: CloseCode = CloseCode(1009);
    /// 1010: the client needed an extension that the server did not negotiate.
    pub const EXTENSION_REQUIRED: CloseCode = CloseCode(1010);
    /// 1011: an unexpected condition at the peer.
    pub const INTERNAL_ERROR: CloseCode = CloseCode(1011);
    /// 1012: the service restarts.
    pub const SERVICE_RESTART: CloseCode = CloseCode(1012);
    /// 1013: try again later.
    pub const TRY_AGAIN_LATER: CloseCode = CloseCode(1013);
    /// 1014: a gateway received an invalid response.
    pub const BAD_GATEWAY: CloseCode = CloseCode(1014);
    /// 1015: the TLS handshake failed. Never on the wire.
    pub const TLS_HANDSHAKE: CloseCode = CloseCode(1015);

    /// Whether the code may stand in a Close frame (RFC 6455 section 7.4).
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::CloseCode;
    ///
    /// assert!(CloseCode::GOING_AWAY.is_sendable());
    /// assert!(!CloseCode::NO_STATUS.is_sendable(), "it says that there was no code");
    /// ```
    pub fn is_sendable(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// Whether the code tells of a normal end: 1000, 1001, or none given.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::CloseCode;
    ///
    /// assert!(CloseCode::GOING_AWAY.is_normal());
    /// assert!(!CloseCode::INTERNAL_ERROR.is_normal());
    /// ```
    pub fn is_normal(self) -> bool {
        matches!(self.0, 1000 | 1001 | 1005)
    }

    fn name(self) -> &'static str {
        match self.0 {
            1000 => "normal closure",
            1001 => "going away",
            1002 => "protocol error",
            1003 => "unsupported data",
            1005 => "no status received",
            1006 => "abnormal closure",
            1007 => "invalid payload data",
            1008 => "policy violation",
            1009 => "message too big",
            1010 => "extension required",
            1011 => "internal error",
            1012 => "service restart",
            1013 => "try again later",
            1014 => "bad gateway",
            1015 => "TLS handshake failure",
            3000..=3999 => "registered",
            4000..=4999 => "private use",
            _ => "unknown",
        }
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        CloseCode(code)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0, self.name())
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

/// The body of a Close frame (RFC 6455 section 5.5.1).
///
/// A received Close frame without a body has the code [`CloseCode::NO_STATUS`].
///
/// # Examples
///
/// ```
/// use wsync::{CloseCode, CloseFrame};
///
/// let frame = CloseFrame::new(CloseCode::NORMAL, "done")?;
/// assert_eq!(frame.to_string(), "1000 (normal closure) done");
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// Why.
    pub code: CloseCode,
    /// Why, in words; at most [`MAX_REASON`] bytes, often empty.
    pub reason: Text,
}

impl CloseFrame {
    /// A body that may be sent.
    ///
    /// # Errors
    ///
    /// [`Misuse::CloseCode`] for a code that must not be sent, [`Misuse::CloseReason`] for a reason
    /// above [`MAX_REASON`] bytes (RFC 6455 sections 7.4 and 5.5).
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{CloseCode, CloseFrame, Misuse};
    ///
    /// let frame = CloseFrame::new(4000, "the game is over")?;
    /// assert_eq!(frame.code, CloseCode::from(4000));
    /// let error = CloseFrame::new(CloseCode::ABNORMAL, "").unwrap_err();
    /// assert_eq!(error, Misuse::CloseCode(CloseCode::ABNORMAL));
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn new(code: impl Into<CloseCode>, reason: impl Into<Text>) -> Result<Self, Misuse> {
        let (code, reason) = (code.into(), reason.into());
        if !code.is_sendable() {
            return Err(Misuse::CloseCode(code));
        }
        if reason.len() > MAX_REASON {
            return Err(Misuse::CloseReason(reason.len()));
        }
        Ok(CloseFrame { code, reason })
    }

    pub(crate) fn going_away() -> Self {
        CloseFrame {
            code: CloseCode::GOING_AWAY,
            reason: Text::default(),
        }
    }

    pub(crate) fn try_again_later() -> Self {
        CloseFrame {
            code: CloseCode::TRY_AGAIN_LATER,
            reason: Text::default(),
        }
    }

    pub(crate) fn no_status() -> Self {
        CloseFrame {
            code: CloseCode::NO_STATUS,
            reason: Text::default(),
        }
    }
}

impl fmt::Display for CloseFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason.as_str() {
            "" => write!(f, "{}", self.code),
            reason => write!(f, "{} {reason}", self.code),
        }
    }
}

/// Who sent the first Close frame.
///
/// # Examples
///
/// ```
/// use wsync::Initiator;
///
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// # let ws = wsync::connect(&url)?;
/// assert_eq!(ws.close()?.initiator, Some(Initiator::Local));
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initiator {
    /// This side.
    Local,
    /// The peer.
    Remote,
}

/// How a connection ended.
///
/// # Examples
///
/// ```
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// let ws = wsync::connect(&url)?;
/// let closed = ws.close()?;
/// assert_eq!(closed.to_string(), "sent 1000 (normal closure); then received 1000 (normal closure)");
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Closed {
    /// The Close frame that came, if one did.
    pub received: Option<CloseFrame>,
    /// The Close frame that was sent, if one was.
    pub sent: Option<CloseFrame>,
    /// Who sent the first of them; `None` when the connection was lost without any.
    pub initiator: Option<Initiator>,
    /// Messages that a send had accepted and that were not handed to the operating system.
    pub unsent: usize,
    /// Messages that came and were dropped: by the queue's [`Overflow`](crate::Overflow) policy, by a
    /// receive call that says so, or because the queue was full while this side was closing or had
    /// dropped its receiver.
    pub dropped: usize,
}

impl Closed {
    /// Whether both sides sent a Close frame, each with a code that tells of a normal end.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::CloseCode;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// assert!(!ws.close_with(CloseCode::INTERNAL_ERROR, "the disk is full")?.is_normal());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn is_normal(&self) -> bool {
        let normal =
            |frame: &Option<CloseFrame>| frame.as_ref().is_some_and(|f| f.code.is_normal());
        normal(&self.received) && normal(&self.sent)
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.sent, &self.received, self.initiator) {
            (None, None, _) => write!(f, "no Close frame received or sent"),
            (Some(sent), None, _) => write!(f, "sent {sent}; no Close frame received"),
            (None, Some(received), _) => write!(f, "received {received}; no Close frame sent"),
            (Some(sent), Some(received), Some(Initiator::Remote)) => {
                write!(f, "received {received}; then sent {sent}")
            }
            (Some(sent), Some(received), _) => write!(f, "sent {sent}; then received {received}"),
        }
    }
}
