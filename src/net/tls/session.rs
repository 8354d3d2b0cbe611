//! What a TLS library is for a connection.

use crate::error::Error;

/// What a TLS library made of the settings of one side.
pub(super) trait Context: Send + Sync {
    /// A session of a client with a server of this name.
    fn client(&self, host: &str) -> Result<Box<dyn TlsSession>, Error>;

    /// A session of a server.
    fn server(&self) -> Result<Box<dyn TlsSession>, Error>;
}

/// One TLS connection. It starts in its handshake; whatever it has to say is taken with
/// [`take_output`](TlsSession::take_output), after every call that may give rise to some.
pub(crate) trait TlsSession: Send + Sync {
    /// Whether the handshake still runs.
    fn is_handshaking(&self) -> bool;

    /// Takes ciphertext, and appends what it decrypts to. `true` once the peer has said that nothing
    /// follows (close_notify); an end of the stream without it is a truncation.
    ///
    /// After an error there may be an alert for the peer in the output, and what was appended before
    /// it is good.
    fn receive(&mut self, ciphertext: &[u8], plaintext: &mut Vec<u8>) -> Result<bool, Error>;

    /// Encrypts all of it into the output. Only after the handshake.
    fn send(&mut self, plaintext: &[u8]) -> Result<(), Error>;

    /// Moves the output to the end of a buffer. An empty buffer is swapped, not copied to.
    fn take_output(&mut self, buffer: &mut Vec<u8>);

    /// Whether there is output to take.
    fn has_output(&self) -> bool;

    /// The certificate that the peer showed, in DER. Known once the handshake has ended.
    fn peer_certificate(&self) -> Option<Vec<u8>>;

    /// Puts a close_notify into the output, once: nothing can be sent after it. Receiving goes on.
    fn close(&mut self);
}
