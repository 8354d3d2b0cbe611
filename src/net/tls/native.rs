//! The TLS of the platform, over a pipe in memory.

use super::identity::Identity;
use super::session::{Context, TlsSession};
use super::{Settings, Side, TlsVersion};
use crate::error::{Error, TlsError};
use native_tls::{
    Certificate, HandshakeError, MidHandshakeTlsStream, Protocol, TlsAcceptor, TlsConnector,
    TlsStream,
};
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, mem};

/// Ciphertext is fed in pieces of this size at most, so that the pipe never holds more.
const PIECE: usize = 16 << 10;
/// An empty buffer above this is given back: many connections are idle most of the time.
const KEPT: usize = 4 << 10;
/// The most plaintext that one record brings (RFC 8446 section 5.1).
const RECORD: usize = 16 << 10;
/// More than what a record is longer than its plaintext, in any version and cipher.
const OVERHEAD: usize = 256;
/// What WebSockets are spoken over (RFC 7301 section 6).
const HTTP_1_1: &str = "http/1.1";
/// native-tls turns TLS 1.3 off in its OpenSSL servers (`mozilla_intermediate`), and every handshake
/// would fail if that were the oldest version.
const SERVER_NEWEST: TlsVersion = if cfg!(windows) {
    TlsVersion::Tls13
} else {
    TlsVersion::Tls12
};
/// Whether the library takes more ciphertext than it decrypts. OpenSSL takes a record at a time.
const READS_AHEAD: bool = cfg!(any(windows, target_vendor = "apple"));

/// What native-tls made of the settings.
pub(super) enum Native {
    Client(TlsConnector),
    Server(TlsAcceptor),
}

impl Native {
    pub(super) fn new(settings: &Settings) -> Result<Self, Error> {
        let min_protocol = Some(match settings.min_protocol {
            TlsVersion::Tls12 => Protocol::Tlsv12,
            TlsVersion::Tls13 => Protocol::Tlsv13,
        });
        let identity = settings.identity.as_ref().map(identity).transpose()?;
        if let (Side::Server, Some(identity)) = (settings.side, &identity) {
            if settings.min_protocol > SERVER_NEWEST {
                return Err(TlsError::plain("servers of native-tls speak TLS 1.2 at most").into());
            }
            if !settings.client_roots.is_empty() {
                let wrong = "servers of native-tls cannot ask clients for certificates";
                return Err(TlsError::plain(wrong).into());
            }
            let mut builder = TlsAcceptor::builder(identity.clone());
            builder
                .min_protocol_version(min_protocol)
                .accept_alpn(&[HTTP_1_1]);
            let acceptor = builder.build().map_err(|e| error("the settings", e))?;
            return Ok(Native::Server(acceptor));
        }
        let mut builder = TlsConnector::builder();
        builder
            .min_protocol_version(min_protocol)
            .request_alpns(&[HTTP_1_1])
            .disable_built_in_roots(settings.no_built_in_roots)
            .use_sni(settings.use_sni)
            .danger_accept_invalid_certs(settings.accept_invalid_certs)
            .danger_accept_invalid_hostnames(settings.accept_invalid_hostnames);
        for root in &settings.roots {
            builder.add_root_certificate(certificate(root)?);
        }
        if let Some(identity) = identity {
            builder.identity(identity);
        }
        let connector = builder.build().map_err(|e| error("the settings", e))?;
        Ok(Native::Client(connector))
    }
}

impl Context for Native {
    fn client(&self, host: &str) -> Result<Box<dyn TlsSession>, Error> {
        match self {
            Native::Client(connector) => session(|pipe| connector.connect(host, pipe)),
            Native::Server(_) => Err(TlsError::plain("these are a server's settings").into()),
        }
    }

    fn server(&self) -> Result<Box<dyn TlsSession>, Error> {
        match self {
            Native::Server(acceptor) => session(|pipe| acceptor.accept(pipe)),
            Native::Client(_) => Err(TlsError::plain("these are a client's settings").into()),
        }
    }
}

pub(super) fn check_certificate(pem: &str) -> Result<(), TlsError> {
    certificate(pem).map(drop)
}

/// OpenSSL looks whether key and certificate belong together when a connector is made of them; an
/// acceptor would fail each handshake instead.
pub(super) fn check_identity(pem: &Identity) -> Result<(), TlsError> {
    TlsConnector::builder()
        .identity(identity(pem)?)
        .disable_built_in_roots(true)
        .build()
        .map(drop)
        .map_err(|e| error("the certificate and its key", e))
}

fn certificate(pem: &str) -> Result<Certificate, TlsError> {
    Certificate::from_pem(pem.as_bytes()).map_err(|e| error("a certificate", e))
}

fn identity(pem: &Identity) -> Result<native_tls::Identity, TlsError> {
    native_tls::Identity::from_pkcs8(pem.chain.as_bytes(), pem.key.as_bytes())
        .map_err(|e| error("the certificate and its key", e))
}

fn error(
    context: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> TlsError {
    TlsError::new(context, source)
}

fn session(
    start: impl FnOnce(Pipe) -> Result<TlsStream<Pipe>, HandshakeError<Pipe>>,
) -> Result<Box<dyn TlsSession>, Error> {
    let last_words = LastWords::default();
    let mut pipe = Pipe::default();
    pipe.last_words = Some(Arc::clone(&last_words));
    let mut session = NativeSession {
        state: State::Failed(Vec::new()),
        closed: false,
    };
    session.advanced(start(pipe), last_words)?;
    Ok(Box::new(session))
}

struct NativeSession {
    state: State,
    /// Our close_notify is out.
    closed: bool,
}

enum State {
    Handshaking(MidHandshakeTlsStream<Pipe>, LastWords),
    Open(TlsStream<Pipe>),
    /// The handshake failed; the alert that says so.
    Failed(Vec<u8>),
}

/// native-tls drops the stream when a handshake fails, and the pipe with it. Its output ends up here.
type LastWords = Arc<Mutex<Vec<u8>>>;

impl NativeSession {
    fn advanced(
        &mut self,
        result: Result<TlsStream<Pipe>, HandshakeError<Pipe>>,
        last_words: LastWords,
    ) -> Result<(), Error> {
        match result {
            Ok(mut stream) => {
                stream.get_mut().last_words = None;
                self.state = State::Open(stream);
                Ok(())
            }
            Err(HandshakeError::WouldBlock(stream)) => {
                self.state = State::Handshaking(stream, last_words);
                Ok(())
            }
            Err(HandshakeError::Failure(e)) => {
                let mut alert = last_words.lock().unwrap_or_else(PoisonError::into_inner);
                self.state = State::Failed(mem::take(&mut alert));
                Err(error("the handshake", e).into())
            }
        }
    }

    fn pipe(&mut self) -> Option<&mut Pipe> {
        match &mut self.state {
            State::Handshaking(stream, _) => Some(stream.get_mut()),
            State::Open(stream) => Some(stream.get_mut()),
            State::Failed(_) => None,
        }
    }

    fn advance(&mut self) -> Result<(), Error> {
        match mem::replace(&mut self.state, State::Failed(Vec::new())) {
            State::Handshaking(stream, last_words) => self.advanced(stream.handshake(), last_words),
            state => {
                self.state = state;
                Ok(())
            }
        }
    }

    /// One piece of ciphertext, or none, to look at what is there.
    fn receive_piece(&mut self, piece: &[u8], plaintext: &mut Vec<u8>) -> Result<bool, Error> {
        if let Some(pipe) = self.pipe() {
            pipe.feed(piece);
        }
        if self.is_handshaking() {
            self.advance()?;
        }
        match &mut self.state {
            State::Open(stream) => decrypt(stream, plaintext),
            State::Handshaking(..) => Ok(false),
            State::Failed(_) => Err(TlsError::plain("the handshake had failed").into()),
        }
    }
}

impl TlsSession for NativeSession {
    fn is_handshaking(&self) -> bool {
        matches!(self.state, State::Handshaking(..))
    }

    fn receive(&mut self, ciphertext: &[u8], plaintext: &mut Vec<u8>) -> Result<bool, Error> {
        let (first, rest) = ciphertext.split_at(ciphertext.len().min(PIECE));
        let mut ended = self.receive_piece(first, plaintext)?;
        for piece in rest.chunks(PIECE) {
            ended = self.receive_piece(piece, plaintext)?;
        }
        if let Some(pipe) = self.pipe() {
            give_back(&mut pipe.input);
        }
        Ok(ended)
    }

    fn send(&mut self, plaintext: &[u8]) -> Result<(), Error> {
        let State::Open(stream) = &mut self.state else {
            return Err(TlsError::plain("the handshake has not ended").into());
        };
        stream
            .get_mut()
            .output
            .reserve(plaintext.len() + (plaintext.len() / RECORD + 1) * OVERHEAD);
        // The pipe takes all there is, so it would block only in a renegotiation: not supported.
        let written = stream.write_all(plaintext);
        Ok(written.map_err(|e| error("sending", e))?)
    }

    fn take_output(&mut self, buffer: &mut Vec<u8>) {
        let output = match &mut self.state {
            State::Failed(alert) => alert,
            State::Handshaking(stream, _) => &mut stream.get_mut().output,
            State::Open(stream) => &mut stream.get_mut().output,
        };
        if buffer.is_empty() {
            mem::swap(buffer, output);
        } else {
            buffer.append(output);
        }
        give_back(output);
    }

    fn has_output(&self) -> bool {
        !match &self.state {
            State::Failed(alert) => alert,
            State::Handshaking(stream, _) => &stream.get_ref().output,
            State::Open(stream) => &stream.get_ref().output,
        }
        .is_empty()
    }

    fn peer_certificate(&self) -> Option<Vec<u8>> {
        let State::Open(stream) = &self.state else {
            return None;
        };
        stream.peer_certificate().ok()??.to_der().ok()
    }

    fn close(&mut self) {
        if let State::Open(stream) = &mut self.state {
            if !mem::replace(&mut self.closed, true) {
                if let Err(e) = stream.shutdown() {
                    log::debug!("TLS close_notify: {e}");
                }
            }
        }
    }
}

/// Decrypts all that was fed.
fn decrypt(stream: &mut TlsStream<Pipe>, plaintext: &mut Vec<u8>) -> Result<bool, Error> {
    let mut room = stream.get_ref().unread().clamp(512, RECORD);
    loop {
        let start = plaintext.len();
        plaintext.resize(start + room, 0);
        let read = stream.read(&mut plaintext[start..]);
        plaintext.truncate(start + *read.as_ref().unwrap_or(&0));
        match read {
            // The pipe never ends, so this is a close_notify.
            Ok(0) => return Ok(true),
            Ok(count) => {
                let drained = stream.get_ref().unread() == 0
                    && stream.buffered_read_size().is_ok_and(|held| held == 0);
                if drained && !READS_AHEAD {
                    return Ok(false);
                }
                if count == room {
                    room = (room * 2).min(RECORD);
                }
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(error("receiving", e).into()),
        }
    }
}

fn give_back(buffer: &mut Vec<u8>) {
    if buffer.is_empty() && buffer.capacity() > KEPT {
        *buffer = Vec::new();
    }
}

/// What native-tls takes for the socket. Reading from it when it is empty would block; writing never
/// does.
#[derive(Default)]
struct Pipe {
    input: Vec<u8>,
    /// How much of the input was read.
    taken: usize,
    output: Vec<u8>,
    /// Where the output goes when the pipe is dropped during the handshake.
    last_words: Option<LastWords>,
}

impl Pipe {
    /// The input is empty before, or nearly: a library leaves at most the head of a record.
    fn feed(&mut self, ciphertext: &[u8]) {
        self.input.drain(..self.taken);
        self.taken = 0;
        self.input.extend_from_slice(ciphertext);
    }

    fn unread(&self) -> usize {
        self.input.len() - self.taken
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let unread = self.input.get(self.taken..).unwrap_or_default();
        if unread.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = unread.len().min(buffer.len());
        buffer[..count].copy_from_slice(&unread[..count]);
        self.taken += count;
        if self.taken == self.input.len() {
            self.input.clear();
            self.taken = 0;
        }
        Ok(count)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        if let Some(last_words) = self.last_words.take() {
            *last_words.lock().unwrap_or_else(PoisonError::into_inner) =
                mem::take(&mut self.output);
        }
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe")
            .field("unread", &self.unread())
            .field("output", &self.output.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
const BACKEND: super::TlsBackend = super::TlsBackend::NativeTls;
#[cfg(test)]
#[path = "tests.rs"]
#[allow(clippy::duplicate_mod)] // The same tests for each library.
mod tests;
