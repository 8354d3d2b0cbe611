//! What a peer can break.

use super::Error;
use crate::close::CloseCode;
use std::fmt;

/// Which rule of RFC 6455 the peer broke.
///
/// # Examples
///
/// A client that does not mask its frames:
///
/// ```
/// use wsync::{Config, Error, Negotiated, ProtocolError, Role, WebSocket};
///
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let _client = std::net::TcpStream::connect(listener.local_addr()?)?;
/// # let (stream, _) = listener.accept()?;
/// let read = vec![0x81, 2, b'h', b'i'];
/// let ws = WebSocket::from_parts(stream, Role::Server, read, Negotiated::new(Config::server()))?;
/// let error = Error::from(ws.recv().unwrap_err());
/// assert!(matches!(error, Error::Protocol(ProtocolError::Unmasked)));
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A reserved bit without an extension that gives it a meaning (section 5.2).
    ReservedBits,
    /// An opcode that is not assigned (section 5.2).
    BadOpcode(u8),
    /// A frame from a client without a mask (section 5.1).
    Unmasked,
    /// A frame from a server with a mask (section 5.1).
    Masked,
    /// A control frame of more than 125 bytes (section 5.5).
    ControlTooLong,
    /// A control frame that is a fragment (section 5.5).
    FragmentedControl,
    /// A length in a longer form than needed (section 5.2).
    LengthForm,
    /// A length of 2^63 or more (section 5.2).
    LengthOverflow,
    /// A continuation frame with nothing to continue (section 5.4).
    UnexpectedContinuation,
    /// A new message before the last fragment of the one before (section 5.4).
    ExpectedContinuation,
    /// A Close frame with a body of one byte (section 5.5.1).
    CloseLength,
    /// A close code that must not be sent (section 7.4).
    BadCloseCode(u16),
    /// Text, or the reason of a Close frame, that is not UTF-8 (section 8.1).
    Utf8,
    /// A compressed message that is not DEFLATE (RFC 7692 section 7.2.2).
    Deflate,
}

impl ProtocolError {
    /// The code with which the connection is failed (section 7.4.1).
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{CloseCode, ProtocolError};
    ///
    /// assert_eq!(ProtocolError::Utf8.close_code(), CloseCode::INVALID_PAYLOAD);
    /// assert_eq!(ProtocolError::Masked.close_code(), CloseCode::PROTOCOL_ERROR);
    /// ```
    pub fn close_code(&self) -> CloseCode {
        match self {
            ProtocolError::Utf8 => CloseCode::INVALID_PAYLOAD,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}

plain_error!(ProtocolError, Protocol, Masked, "protocol.masked", {
    ProtocolError::ReservedBits => "protocol.reserved_bits", "a reserved bit is set";
    ProtocolError::BadOpcode(opcode) => "protocol.bad_opcode", "the opcode {opcode:#x} is not assigned";
    ProtocolError::Unmasked => "protocol.unmasked", "a frame from the client is not masked";
    ProtocolError::Masked => "protocol.masked", "a frame from the server is masked";
    ProtocolError::ControlTooLong => "protocol.control_too_long", "a control frame is longer than 125 bytes";
    ProtocolError::FragmentedControl => "protocol.fragmented_control", "a control frame is fragmented";
    ProtocolError::LengthForm => "protocol.length_form", "a length is not in its shortest form";
    ProtocolError::LengthOverflow => "protocol.length_overflow", "a length of 2^63 or more";
    ProtocolError::UnexpectedContinuation => "protocol.unexpected_continuation", "a continuation frame continues nothing";
    ProtocolError::ExpectedContinuation => "protocol.expected_continuation", "a message begins within another";
    ProtocolError::CloseLength => "protocol.close_length", "a Close frame with one byte";
    ProtocolError::BadCloseCode(code) => "protocol.bad_close_code", "the close code {code} must not be sent";
    ProtocolError::Utf8 => "protocol.utf8", "text is not UTF-8";
    ProtocolError::Deflate => "protocol.deflate", "a compressed message is not DEFLATE";
});
