//! rustls, which has no socket either.

use super::identity::Identity;
use super::session::{Context, TlsSession};
use super::{Settings, Side, TlsVersion};
use crate::error::{Error, TlsError};
use ::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use ::rustls::client::verify_server_cert_signed_by_trust_anchor;
use ::rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use ::rustls::pki_types::pem::PemObject;
use ::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use ::rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use ::rustls::version::{TLS12, TLS13};
use ::rustls::{
    ClientConfig, ClientConnection, Connection, DigitallySignedStruct, Error as RustlsError,
    RootCertStore, ServerConfig, ServerConnection, SignatureScheme, SupportedProtocolVersion,
};
use std::io::{self, Read, Write};
use std::mem;
use std::sync::Arc;

/// What WebSockets are spoken over (RFC 7301 section 6).
const HTTP_1_1: &[u8] = b"http/1.1";

/// What rustls made of the settings.
pub(super) enum Rustls {
    Client(Arc<ClientConfig>),
    Server(Arc<ServerConfig>),
}

impl Rustls {
    pub(super) fn new(settings: &Settings) -> Result<Self, Error> {
        let made = match settings.side {
            Side::Client => client(settings).map(|config| Rustls::Client(Arc::new(config))),
            Side::Server => server(settings).map(|config| Rustls::Server(Arc::new(config))),
        };
        Ok(made?)
    }
}

impl Context for Rustls {
    fn client(&self, host: &str) -> Result<Box<dyn TlsSession>, Error> {
        let Rustls::Client(config) = self else {
            return Err(TlsError::plain("these are a server's settings").into());
        };
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|e| TlsError::new("the server's name", e))?;
        let connection = ClientConnection::new(Arc::clone(config), name);
        Ok(session(connection.map_err(|e| error("the settings", e))?))
    }

    fn server(&self) -> Result<Box<dyn TlsSession>, Error> {
        let Rustls::Server(config) = self else {
            return Err(TlsError::plain("these are a client's settings").into());
        };
        let connection = ServerConnection::new(Arc::clone(config));
        Ok(session(connection.map_err(|e| error("the settings", e))?))
    }
}

pub(super) fn check_certificate(pem: &str) -> Result<(), TlsError> {
    let added = RootCertStore::empty().add(certificate(pem)?);
    added.map_err(|e| error("a certificate", e))
}

/// Making the settings of a server looks at both.
pub(super) fn check_identity(identity: &Identity) -> Result<(), TlsError> {
    let (chain, key) = parsed(identity)?;
    let made = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    made.map(drop)
        .map_err(|e| error("the certificate and its key", e))
}

fn client(settings: &Settings) -> Result<ClientConfig, TlsError> {
    let provider = provider();
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(settings))
        .map_err(|e| error("the settings", e))?;
    let roots = roots(settings)?;
    let builder = if settings.accept_invalid_certs || settings.accept_invalid_hostnames {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Lenient {
                roots: (!settings.accept_invalid_certs).then_some(roots),
                algorithms,
            }))
    } else {
        builder.with_root_certificates(roots)
    };
    let mut config = match &settings.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = parsed(identity)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|e| error("the certificate and its key", e))?
        }
    };
    config.enable_sni = settings.use_sni;
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    Ok(config)
}

fn server(settings: &Settings) -> Result<ServerConfig, TlsError> {
    let Some(identity) = &settings.identity else {
        return Err(TlsError::plain("a server needs a certificate"));
    };
    let (chain, key) = parsed(identity)?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&versions(settings))
        .map_err(|e| error("the settings", e))?;
    let builder = if settings.client_roots.is_empty() {
        builder.with_no_client_auth()
    } else {
        let roots = Arc::new(store(&settings.client_roots)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
        let verifier = verifier.build();
        let verifier = verifier.map_err(|e| TlsError::new("the roots of clients", e))?;
        builder.with_client_cert_verifier(verifier)
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|e| error("the certificate and its key", e))?;
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn versions(settings: &Settings) -> Vec<&'static SupportedProtocolVersion> {
    match settings.min_protocol {
        TlsVersion::Tls12 => vec![&TLS13, &TLS12],
        TlsVersion::Tls13 => vec![&TLS13],
    }
}

fn roots(settings: &Settings) -> Result<RootCertStore, TlsError> {
    let mut roots = store(&settings.roots)?;
    if !settings.no_built_in_roots {
        let found = rustls_native_certs::load_native_certs();
        for e in found.errors {
            log::debug!("a root certificate of the system: {e}");
        }
        // The system's may hold some that are too old or odd; they vouch for nothing then.
        roots.add_parsable_certificates(found.certs);
    }
    Ok(roots)
}

fn store(certificates: &[Arc<str>]) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for pem in certificates {
        let added = store.add(certificate(pem)?);
        added.map_err(|e| error("a certificate", e))?;
    }
    Ok(store)
}

fn certificate(pem: &str) -> Result<CertificateDer<'static>, TlsError> {
    let parsed = CertificateDer::from_pem_slice(pem.as_bytes());
    parsed.map_err(|e| TlsError::new("a certificate", e))
}

fn parsed(
    identity: &Identity,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let chain = CertificateDer::pem_slice_iter(identity.chain.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes());
    match (chain, key) {
        (Ok(chain), Ok(key)) => Ok((chain, key)),
        (Err(e), _) | (_, Err(e)) => Err(TlsError::new("the certificate and its key", e)),
    }
}

fn error(context: &'static str, source: RustlsError) -> TlsError {
    TlsError::new(context, source)
}

/// Leaves out checks that the settings turn off: that of the name, and without roots all.
#[derive(Debug)]
struct Lenient {
    roots: Option<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, RustlsError> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(
                &certificate,
                roots,
                intermediates,
                now,
                algorithms,
            )?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn session(connection: impl Into<Connection>) -> Box<dyn TlsSession> {
    let mut connection = connection.into();
    // Who sends has the bound: all of a send is encrypted, and waits as ciphertext.
    connection.set_buffer_limit(None);
    Box::new(RustlsSession {
        connection,
        failed: None,
        closed: false,
        ended: false,
    })
}

struct RustlsSession {
    connection: Connection,
    /// Nothing can be received any more.
    failed: Option<RustlsError>,
    /// Our close_notify is out.
    closed: bool,
    /// The peer's came.
    ended: bool,
}

impl RustlsSession {
    /// Moves what was decrypted.
    fn decrypted(&mut self, count: usize, plaintext: &mut Vec<u8>) -> io::Result<()> {
        let start = plaintext.len();
        plaintext.resize(start + count, 0);
        self.connection
            .reader()
            .read_exact(&mut plaintext[start..])
            .inspect_err(|_| plaintext.truncate(start))
    }

    /// Processes what was read. What is good before an error is kept.
    fn process(&mut self, plaintext: &mut Vec<u8>) -> Result<(), Error> {
        let state = match self.connection.process_new_packets() {
            Ok(state) => state,
            Err(e) => {
                self.failed = Some(e.clone());
                let _ = self.drain(plaintext);
                return Err(error(self.doing(), e).into());
            }
        };
        self.ended |= state.peer_has_closed();
        let decrypted = self.decrypted(state.plaintext_bytes_to_read(), plaintext);
        Ok(decrypted.map_err(|e| TlsError::new("receiving", e))?)
    }

    /// The plaintext whose length an error has hidden.
    fn drain(&mut self, plaintext: &mut Vec<u8>) -> io::Result<()> {
        let mut piece = [0; 1024];
        loop {
            match self.connection.reader().read(&mut piece)? {
                0 => return Ok(()),
                count => plaintext.extend_from_slice(&piece[..count]),
            }
        }
    }

    fn doing(&self) -> &'static str {
        match self.connection.is_handshaking() {
            true => "the handshake",
            false => "receiving",
        }
    }
}

impl TlsSession for RustlsSession {
    fn is_handshaking(&self) -> bool {
        self.failed.is_none() && self.connection.is_handshaking()
    }

    fn receive(&mut self, mut ciphertext: &[u8], plaintext: &mut Vec<u8>) -> Result<bool, Error> {
        if let Some(e) = &self.failed {
            return Err(error("it had failed", e.clone()).into());
        }
        // What follows a close_notify does not count (RFC 8446 section 6.1).
        while !ciphertext.is_empty() && !self.ended {
            let read = self.connection.read_tls(&mut ciphertext);
            read.map_err(|e| TlsError::new("receiving", e))?;
            self.process(plaintext)?;
        }
        Ok(self.ended)
    }

    fn send(&mut self, plaintext: &[u8]) -> Result<(), Error> {
        if self.closed || self.failed.is_some() || self.connection.is_handshaking() {
            return Err(TlsError::plain("it is not open").into());
        }
        let written = self.connection.writer().write_all(plaintext);
        Ok(written.map_err(|e| TlsError::new("sending", e))?)
    }

    fn take_output(&mut self, buffer: &mut Vec<u8>) {
        while self.connection.wants_write() {
            if self.connection.write_tls(buffer).is_err() {
                // A vector takes all there is.
                return;
            }
        }
    }

    fn has_output(&self) -> bool {
        self.connection.wants_write()
    }

    fn peer_certificate(&self) -> Option<Vec<u8>> {
        let chain = self.connection.peer_certificates()?;
        chain.first().map(|certificate| certificate.to_vec())
    }

    fn close(&mut self) {
        let open = !self.connection.is_handshaking() && self.failed.is_none();
        if open && !mem::replace(&mut self.closed, true) {
            self.connection.send_close_notify();
        }
    }
}

#[cfg(test)]
const BACKEND: super::TlsBackend = super::TlsBackend::Rustls;
#[cfg(test)]
#[path = "tests.rs"]
#[allow(clippy::duplicate_mod)] // The same tests for each library.
mod tests;
