//! The socket while a connection opens: blocking reads and writes under an absolute deadline.

use super::tls::stream::TlsStream;
use super::tls::{TlsConfig, TlsSession};
use super::transport::{Interest, Transport};
use crate::error::{Error, Timeout, TlsError};
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// What one read takes at most.
const CHUNK: usize = 2048;

/// A transport, and the TLS on it once that was started.
pub(crate) struct Link {
    transport: Arc<dyn Transport>,
    tls: Option<Box<dyn TlsSession>>,
    /// Decrypted bytes that came with the end of the TLS handshake. The next read takes them.
    pending: Vec<u8>,
    /// The peer said that nothing follows (close_notify).
    ended: bool,
}

/// What is left of a [`Link`]. There is no ciphertext in it: TLS has taken all of it.
pub(crate) struct LinkParts {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) tls: Option<Box<dyn TlsSession>>,
    /// Decrypted bytes that no read has taken.
    pub(crate) pending: Vec<u8>,
    /// The peer said that nothing follows (close_notify).
    pub(crate) ended: bool,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

impl Link {
    pub(crate) fn new(transport: Arc<dyn Transport>) -> Self {
        Link {
            transport,
            tls: None,
            pending: Vec::new(),
            ended: false,
        }
    }

    pub(crate) fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Whether HTTP can be spoken: there is no TLS, or it is open.
    pub(crate) fn can_speak(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| !tls.is_handshaking())
    }

    /// Reads at least one byte, appends what there is, and returns how much. 0 is the end; over TLS
    /// only a close_notify is one, and a stream cut off is an `UnexpectedEof`.
    pub(crate) fn read(
        &mut self,
        buffer: &mut Vec<u8>,
        deadline: Option<Instant>,
    ) -> Result<usize, Error> {
        if !self.pending.is_empty() {
            let count = self.pending.len();
            buffer.append(&mut self.pending);
            self.pending = Vec::new();
            return Ok(count);
        }
        let start = buffer.len();
        if self.tls.is_none() {
            buffer.resize(start + CHUNK, 0);
            let read = self.read_socket(&mut buffer[start..], deadline);
            buffer.truncate(start + *read.as_ref().unwrap_or(&0));
            return read;
        }
        while buffer.len() == start && !self.ended {
            self.receive(buffer, deadline)?;
        }
        Ok(buffer.len() - start)
    }

    /// Writes all of it.
    pub(crate) fn write_all(
        &mut self,
        bytes: &[u8],
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        match &mut self.tls {
            None => self.write_socket(bytes, deadline),
            Some(tls) => {
                tls.send(bytes)?;
                self.flush(deadline)
            }
        }
    }

    /// Runs the TLS handshake of a client. `host` is the name that the certificate must have, unless
    /// the configuration sets another.
    pub(crate) fn start_tls_client(
        &mut self,
        config: &TlsConfig,
        host: &str,
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        self.start_tls(config.client_session(host)?, deadline)?;
        self.tls
            .as_deref()
            .map_or(Ok(()), |tls| config.check_pins(tls))
    }

    /// Runs the TLS handshake of a server.
    pub(crate) fn start_tls_server(
        &mut self,
        config: &TlsConfig,
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        self.start_tls(config.server_session()?, deadline)
    }

    /// A link within this one, if it has TLS: TLS can then be started again.
    pub(crate) fn within(mut self) -> Self {
        match self.tls.take() {
            None => self,
            Some(session) => Link::new(Arc::new(TlsStream::new(session, self.into_parts()))),
        }
    }

    /// What the connection goes on with.
    pub(crate) fn into_parts(self) -> LinkParts {
        LinkParts {
            transport: self.transport,
            tls: self.tls,
            pending: self.pending,
            ended: self.ended,
        }
    }

    fn start_tls(
        &mut self,
        session: Box<dyn TlsSession>,
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        if self.tls.is_some() {
            return Err(TlsError::plain("it was started already").into());
        }
        self.tls = Some(session);
        let mut early = Vec::new();
        self.flush(deadline)?;
        while self.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
            self.receive(&mut early, deadline).map_err(|e| match e {
                Error::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                    TlsError::plain("the peer ended the connection during the TLS handshake").into()
                }
                e => e,
            })?;
        }
        self.pending = early;
        Ok(())
    }

    /// Passes what one read of the socket brings through TLS, and sends what TLS has to answer.
    fn receive(&mut self, plaintext: &mut Vec<u8>, deadline: Option<Instant>) -> Result<(), Error> {
        let mut chunk = vec![0; CHUNK];
        let count = self.read_socket(&mut chunk, deadline)?;
        if count == 0 {
            return Err(Error::eof());
        }
        let Some(tls) = &mut self.tls else {
            return Ok(());
        };
        match tls.receive(&chunk[..count], plaintext) {
            Ok(ended) => self.ended = ended,
            Err(e) => {
                // The alert that tells the peer why, if it fits without waiting.
                let _ = self.flush(Some(Instant::now()));
                return Err(e);
            }
        }
        self.flush(deadline)
    }

    fn flush(&mut self, deadline: Option<Instant>) -> Result<(), Error> {
        let mut output = Vec::new();
        if let Some(tls) = &mut self.tls {
            tls.take_output(&mut output);
        }
        self.write_socket(&output, deadline)
    }

    /// The deadline is looked at before each read: a peer that sends a byte now and then must not
    /// move it.
    fn read_socket(&self, buffer: &mut [u8], deadline: Option<Instant>) -> Result<usize, Error> {
        loop {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Error::Timeout(Timeout::Open));
            }
            match self.transport.read(buffer) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.transport.wait(Interest::READABLE, deadline)?;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                result => return Ok(result?),
            }
        }
    }

    fn write_socket(&self, mut bytes: &[u8], deadline: Option<Instant>) -> Result<(), Error> {
        while !bytes.is_empty() {
            match self.transport.write(bytes) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                        return Err(Error::Timeout(Timeout::Open));
                    }
                    self.transport.wait(Interest::WRITABLE, deadline)?;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}
