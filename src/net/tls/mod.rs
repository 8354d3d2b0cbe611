//! TLS as a value: ciphertext in, plaintext out, and the other way round. It never sees a socket, so
//! a lock around it is held for as long as the computing takes and no longer.

#[cfg(feature = "native-tls")]
mod native;
mod pem;
pub(crate) mod stream;
#[cfg(test)]
#[cfg(feature = "native-tls")]
mod tests;

use crate::error::{Error, Misuse, TlsError};
use std::fmt;
use std::sync::{Arc, OnceLock};

#[cfg(feature = "native-tls")]
use native::Context;
#[cfg(not(feature = "native-tls"))]
use none::Context;

/// The settings of TLS for a client or a server.
///
/// Cheap to clone. What the TLS library makes of it is made once, by the first connection, and
/// shared by all clones. `Debug` shows no key. ALPN is not used: WebSockets need HTTP/1.1.
///
/// # Examples
///
/// A client that trusts a root of its own and nothing else:
///
/// ```no_run
/// use wsync::TlsConfig;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tls = TlsConfig::client()
///     .add_root_certificate_pem(&std::fs::read("root.pem")?)?
///     .disable_built_in_roots(true);
/// # let _ = tls;
/// # Ok(())
/// # }
/// ```
///
/// A server:
///
/// ```no_run
/// use wsync::TlsConfig;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tls = TlsConfig::server(&std::fs::read("chain.pem")?, &std::fs::read("key.pem")?)?;
/// # let _ = tls;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TlsConfig {
    settings: Settings,
    /// What the TLS library made of the settings. Every change of them starts a new one.
    context: Arc<OnceLock<Result<Context, Error>>>,
}

impl TlsConfig {
    /// A client: the roots of the system, TLS 1.2 or later, and every check on.
    pub fn client() -> Self {
        TlsConfig::new(Side::Client, None)
    }

    /// A server with its certificate, followed by those that lead to the root, and its key in PKCS#8
    /// (`BEGIN PRIVATE KEY`), both in PEM.
    ///
    /// # Errors
    ///
    /// [`Error::Tls`] when they cannot be parsed, or the key is not the certificate's.
    pub fn server(certificates_pem: &[u8], key_pem: &[u8]) -> Result<Self, Error> {
        let identity = Identity::parse(certificates_pem, key_pem)?;
        Ok(TlsConfig::new(Side::Server, Some(identity)))
    }

    /// Trusts these roots, too: one certificate or several, in PEM. For clients.
    ///
    /// # Errors
    ///
    /// [`Error::Tls`] when they cannot be parsed.
    pub fn add_root_certificate_pem(mut self, certificates_pem: &[u8]) -> Result<Self, Error> {
        for root in pem::certificates(certificates_pem)? {
            Context::check_certificate(&root)?;
            self.settings.roots.push(root.into());
        }
        Ok(self.changed())
    }

    /// Whether to trust only the roots that were added. Defaults to no. For clients.
    pub fn disable_built_in_roots(mut self, disable: bool) -> Self {
        self.settings.no_built_in_roots = disable;
        self.changed()
    }

    /// The certificate that a client shows when the server asks for one, and its key, as for
    /// [`server`](TlsConfig::server).
    ///
    /// # Errors
    ///
    /// [`Error::Tls`] when they cannot be parsed, or the key is not the certificate's.
    pub fn identity_pem(mut self, certificates_pem: &[u8], key_pem: &[u8]) -> Result<Self, Error> {
        self.settings.identity = Some(Identity::parse(certificates_pem, key_pem)?);
        Ok(self.changed())
    }

    /// The name that is announced (SNI) and that the certificate must have, in place of the host of
    /// the address. For clients.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.settings.server_name = Some(name.into());
        self.changed()
    }

    /// Whether to announce the server's name (SNI). Defaults to yes. For clients.
    pub fn use_sni(mut self, use_sni: bool) -> Self {
        self.settings.use_sni = use_sni;
        self.changed()
    }

    /// Whether to accept *any* certificate: expired, of an unknown root, or for another host. Defaults
    /// to no. For clients.
    ///
    /// Then anyone on the way can read and change everything. Adding the root of a test server with
    /// [`add_root_certificate_pem`](TlsConfig::add_root_certificate_pem) is nearly always better.
    pub fn danger_accept_invalid_certs(mut self, accept: bool) -> Self {
        self.settings.accept_invalid_certs = accept;
        self.changed()
    }

    /// Whether to accept a valid certificate for another host. Defaults to no. For clients.
    ///
    /// Then whoever has a certificate for any host can pose as the server. If the name is known,
    /// [`server_name`](TlsConfig::server_name) is better.
    pub fn danger_accept_invalid_hostnames(mut self, accept: bool) -> Self {
        self.settings.accept_invalid_hostnames = accept;
        self.changed()
    }

    /// The oldest version to speak. Defaults to TLS 1.2.
    pub fn min_protocol(mut self, version: TlsVersion) -> Self {
        self.settings.min_protocol = version;
        self.changed()
    }

    /// Whether the build has a TLS library.
    pub(crate) fn is_available() -> bool {
        cfg!(feature = "native-tls")
    }

    /// A session of a client with a server of this name, or of the name that was set in its place.
    pub(crate) fn client_session(&self, host: &str) -> Result<Box<dyn TlsSession>, Error> {
        let host = self.settings.server_name.as_deref().unwrap_or(host);
        // A certificate has neither the dot of a fully qualified name nor the brackets of an address.
        let host = host.strip_suffix('.').unwrap_or(host);
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        self.context(Side::Client)?.client(host)
    }

    /// A session of a server.
    pub(crate) fn server_session(&self) -> Result<Box<dyn TlsSession>, Error> {
        self.context(Side::Server)?.server()
    }

    fn new(side: Side, identity: Option<Identity>) -> Self {
        TlsConfig {
            settings: Settings {
                side,
                roots: Vec::new(),
                no_built_in_roots: false,
                identity,
                server_name: None,
                use_sni: true,
                accept_invalid_certs: false,
                accept_invalid_hostnames: false,
                min_protocol: TlsVersion::Tls12,
            },
            context: Arc::default(),
        }
    }

    fn changed(mut self) -> Self {
        self.context = Arc::default();
        self
    }

    fn context(&self, side: Side) -> Result<&Context, Error> {
        if self.settings.side != side {
            return Err(Misuse::Config("TLS settings of the other side").into());
        }
        self.context
            .get_or_init(|| Context::new(&self.settings))
            .as_ref()
            .map_err(Error::clone)
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.settings;
        f.debug_struct("TlsConfig")
            .field("side", &settings.side)
            .field("roots", &settings.roots.len())
            .field("built_in_roots", &!settings.no_built_in_roots)
            .field("identity", &settings.identity.is_some())
            .field("server_name", &settings.server_name)
            .field("use_sni", &settings.use_sni)
            .field("accept_invalid_certs", &settings.accept_invalid_certs)
            .field(
                "accept_invalid_hostnames",
                &settings.accept_invalid_hostnames,
            )
            .field("min_protocol", &settings.min_protocol)
            .finish()
    }
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446). Of what the `native-tls` feature stands on, macOS does not have it, nor
    /// has a server on OpenSSL: asking for it there is an error of every connection.
    Tls13,
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

    /// Puts a close_notify into the output, once: nothing can be sent after it. Receiving goes on.
    fn close(&mut self);
}

/// Whose settings they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

#[derive(Clone)]
#[cfg_attr(not(feature = "native-tls"), allow(dead_code))]
struct Settings {
    side: Side,
    /// One certificate each, in PEM, parsed before.
    roots: Vec<Arc<str>>,
    no_built_in_roots: bool,
    identity: Option<Identity>,
    server_name: Option<String>,
    use_sni: bool,
    accept_invalid_certs: bool,
    accept_invalid_hostnames: bool,
    min_protocol: TlsVersion,
}

/// A certificate with its chain, and the key, in PEM, parsed before.
#[derive(Clone)]
#[cfg_attr(not(feature = "native-tls"), allow(dead_code))]
struct Identity {
    chain: Arc<str>,
    key: Arc<str>,
}

impl Identity {
    fn parse(certificates_pem: &[u8], key_pem: &[u8]) -> Result<Self, TlsError> {
        let identity = Identity {
            chain: pem::certificates(certificates_pem)?.concat().into(),
            key: pem::private_key(key_pem)?.into(),
        };
        Context::check_identity(&identity)?;
        Ok(identity)
    }
}

/// A build without TLS: settings can be made, and a connection with them fails.
#[cfg(not(feature = "native-tls"))]
mod none {
    use super::{Error, Identity, Settings, TlsError, TlsSession};

    #[derive(Clone, Copy)]
    pub(super) enum Context {}

    impl Context {
        pub(super) fn new(_: &Settings) -> Result<Self, Error> {
            Err(
                TlsError::plain("this build of wsync has no TLS feature, such as native-tls")
                    .into(),
            )
        }

        pub(super) fn check_certificate(_: &str) -> Result<(), TlsError> {
            Ok(())
        }

        pub(super) fn check_identity(_: &Identity) -> Result<(), TlsError> {
            Ok(())
        }

        pub(super) fn client(&self, _: &str) -> Result<Box<dyn TlsSession>, Error> {
            match *self {}
        }

        pub(super) fn server(&self) -> Result<Box<dyn TlsSession>, Error> {
            match *self {}
        }
    }
}
