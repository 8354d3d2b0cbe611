//! The opening handshake (RFC 6455 section 4), without I/O.

/// What was wrong with the opening handshake.
#[derive(Debug)]
#[non_exhaustive]
pub enum HandshakeError {}

impl HandshakeError {
    /// The variant as a short stable path.
    pub fn kind(&self) -> &'static str {
        match *self {}
    }

    /// The response of a server that refused.
    pub fn response(&self) -> Option<&http::Response<Vec<u8>>> {
        match *self {}
    }
}

impl std::fmt::Display for HandshakeError {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {}
    }
}

impl std::error::Error for HandshakeError {}
