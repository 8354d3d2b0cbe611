//! TLS as a value: ciphertext in, plaintext out, and the other way round. It never sees a socket, so
//! a lock around it is held for as long as the computing takes and no longer.

mod backend;
mod identity;
#[cfg(feature = "native-tls")]
mod native;
mod pem;
mod pins;
#[cfg(feature = "rustls")]
mod rustls;
mod session;
pub(crate) mod stream;

pub use backend::{TlsBackend, TlsVersion};
pub(crate) use session::TlsSession;

use crate::error::{Error, Misuse, TlsError};
use identity::Identity;
use pins::Pins;
use session::Context;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// The settings of TLS for a client or a server.
///
/// Cheap to clone. What the TLS library makes of it is made once, by the first connection, and
/// shared by all clones. `Debug` shows no key. By ALPN (RFC 7301) both sides say that they speak `http/1.1`,
/// which WebSockets need; a peer that does not know of ALPN is as good.
///
/// The TLS library is [`TlsBackend::NativeTls`] unless [`backend`](TlsConfig::backend) says otherwise,
/// whatever features the build has.
///
/// # Examples
///
/// A client that trusts a root of its own and nothing else:
///
/// ```
/// use wsync::TlsConfig;
///
/// # std::env::set_current_dir("tests/certs")?;
/// let tls = TlsConfig::client()
///     .add_root_certificate_pem(&std::fs::read("ca.pem")?)?
///     .disable_built_in_roots(true);
/// # Ok::<(), wsync::Error>(())
/// ```
///
/// A server:
///
/// ```
/// use wsync::TlsConfig;
///
/// # std::env::set_current_dir("tests/certs")?;
/// let tls = TlsConfig::server(&std::fs::read("server.pem")?, &std::fs::read("server.key")?)?;
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Clone)]
pub struct TlsConfig {
    settings: Settings,
    /// What the TLS library made of the settings. Every change of them starts a new one.
    context: Arc<OnceLock<Result<Box<dyn Context>, Error>>>,
}

impl TlsConfig {
    /// A client: the roots of the system, TLS 1.2 or later, and every check on.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ClientBuilder, TlsConfig};
    ///
    /// let builder = ClientBuilder::new("wss://example.org/").tls(TlsConfig::client());
    /// ```
    pub fn client() -> Self {
        TlsConfig::new(Side::Client)
    }

    /// A server with its certificate, followed by those that lead to the root, and its key in PKCS#8
    /// (`BEGIN PRIVATE KEY`), both in PEM.
    ///
    /// # Errors
    ///
    /// [`Error::Tls`] when they cannot be parsed, or the key is not the certificate's.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Server, TlsConfig};
    ///
    /// # std::env::set_current_dir("tests/certs")?;
    /// let tls = TlsConfig::server(&std::fs::read("server.pem")?, &std::fs::read("server.key")?)?;
    /// let builder = Server::builder().tls(tls);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn server(certificates_pem: &[u8], key_pem: &[u8]) -> Result<Self, Error> {
        let identity = Identity::parse(certificates_pem, key_pem)?;
        TlsConfig::new(Side::Server).with(identity)
    }

    /// A server with certificate and key in a PKCS#12 file (RFC 7292), which is encrypted with `password`.
    ///
    /// # Errors
    ///
    /// [`Error::Tls`] when it cannot be parsed or decrypted, or has no certificate with its key.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Server, TlsConfig};
    ///
    /// # std::env::set_current_dir("tests/certs")?;
    /// let tls = TlsConfig::server_pkcs12(&std::fs::read("server.p12")?, "secret")?;
    /// let builder = Server::builder().tls(tls);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[cfg(feature = "pkcs12")]
    pub fn server_pkcs12(der: &[u8], password: &str) -> Result<Self, Error> {
        let identity = Identity::from_pkcs12(der, password)?;
        TlsConfig::new(Side::Server).with(identity)
    }

    /// Sets the TLS library. Defaults to [`TlsBackend::NativeTls`], also in a build that lacks it: no feature
    /// changes what a configuration means.
    ///
    /// # Errors
    ///
    /// [`Error::Tls`] when the build lacks its feature, or it cannot use the certificates and keys that were
    /// given before.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{TlsBackend, TlsConfig};
    ///
    /// if TlsBackend::Rustls.is_available() {
    ///     let tls = TlsConfig::client().backend(TlsBackend::Rustls)?;
    /// }
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn backend(mut self, backend: TlsBackend) -> Result<Self, Error> {
        backend.check_available()?;
        let settings = &self.settings;
        for root in settings.roots.iter().chain(&settings.client_roots) {
            backend.check_certificate(root)?;
        }
        if let Some(identity) = &settings.identity {
            backend.check_identity(identity)?;
        }
        self.settings.backend = backend;
        Ok(self.changed())
    }

    /// Trusts these roots, too: one certificate or several, in PEM. For clients.
    ///
    /// # Errors
    ///
    /// [`Error::Tls`] when they cannot be parsed.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::TlsConfig;
    ///
    /// # std::env::set_current_dir("tests/certs")?;
    /// let tls = TlsConfig::client().add_root_certificate_pem(&std::fs::read("ca.pem")?)?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn add_root_certificate_pem(mut self, certificates_pem: &[u8]) -> Result<Self, Error> {
        let roots = self.parsed(certificates_pem)?;
        self.settings.roots.extend(roots);
        Ok(self.changed())
    }

    /// Whether to trust only the roots that were added. Defaults to no. For clients.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::TlsConfig;
    ///
    /// # std::env::set_current_dir("tests/certs")?;
    /// let ours = std::fs::read("ca.pem")?;
    /// let tls = TlsConfig::client().add_root_certificate_pem(&ours)?.disable_built_in_roots(true);
    /// # Ok::<(), wsync::Error>(())
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::TlsConfig;
    ///
    /// # std::env::set_current_dir("tests/certs")?;
    /// let (certificate, key) = (std::fs::read("server.pem")?, std::fs::read("server.key")?);
    /// let tls = TlsConfig::client().identity_pem(&certificate, &key)?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn identity_pem(self, certificates_pem: &[u8], key_pem: &[u8]) -> Result<Self, Error> {
        self.with(Identity::parse(certificates_pem, key_pem)?)
    }

    /// The certificate of a client and its key out of a PKCS#12 file (RFC 7292), which is encrypted with
    /// `password`.
    ///
    /// # Errors
    ///
    /// As for [`server_pkcs12`](TlsConfig::server_pkcs12).
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::TlsConfig;
    ///
    /// # std::env::set_current_dir("tests/certs")?;
    /// let tls = TlsConfig::client().identity_pkcs12(&std::fs::read("server.p12")?, "secret")?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[cfg(feature = "pkcs12")]
    pub fn identity_pkcs12(self, der: &[u8], password: &str) -> Result<Self, Error> {
        self.with(Identity::from_pkcs12(der, password)?)
    }

    /// Demands of the server's own certificate that it has this SHA-256 fingerprint, or another one that was
    /// given so, beside every other check. 64 digits in hexadecimal, with or without colons, as
    /// `openssl x509 -noout -fingerprint -sha256` prints them. For clients.
    ///
    /// For a certificate without a root that is known, add it with
    /// [`add_root_certificate_pem`](TlsConfig::add_root_certificate_pem), or pin it and turn the other checks
    /// off with [`danger_accept_invalid_certs`](TlsConfig::danger_accept_invalid_certs).
    ///
    /// # Errors
    ///
    /// [`Error::Tls`] when it is no such fingerprint.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::TlsConfig;
    ///
    /// let fingerprint = ["AB"; 32].join(":");
    /// let tls = TlsConfig::client().pin_certificate_sha256(&fingerprint)?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn pin_certificate_sha256(mut self, fingerprint: &str) -> Result<Self, Error> {
        self.settings.pins.add(fingerprint)?;
        Ok(self)
    }

    /// Demands a certificate of every client, issued by one of these, in PEM. For servers, with
    /// [`TlsBackend::Rustls`]: native-tls cannot ask for one, and says so when the server is used.
    ///
    /// # Errors
    ///
    /// [`Error::Tls`] when they cannot be parsed.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{TlsBackend, TlsConfig};
    ///
    /// # if !TlsBackend::Rustls.is_available() { return Ok(()) }
    /// # std::env::set_current_dir("tests/certs")?;
    /// let tls = TlsConfig::server(&std::fs::read("server.pem")?, &std::fs::read("server.key")?)?
    ///     .backend(TlsBackend::Rustls)?
    ///     .client_root_certificate_pem(&std::fs::read("ca.pem")?)?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn client_root_certificate_pem(mut self, certificates_pem: &[u8]) -> Result<Self, Error> {
        let roots = self.parsed(certificates_pem)?;
        self.settings.client_roots.extend(roots);
        Ok(self.changed())
    }

    /// The name that is announced (SNI) and that the certificate must have, in place of the host of
    /// the address. For clients.
    ///
    /// # Examples
    ///
    /// A server that DNS does not know by its name:
    ///
    /// ```
    /// use wsync::{ClientBuilder, TlsConfig};
    ///
    /// let tls = TlsConfig::client().server_name("example.org");
    /// let builder = ClientBuilder::new("wss://192.0.2.7/").tls(tls);
    /// ```
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.settings.server_name = Some(name.into());
        self.changed()
    }

    /// Whether to announce the server's name (SNI). Defaults to yes. For clients.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::TlsConfig;
    ///
    /// let tls = TlsConfig::client().use_sni(false); // Who listens does not learn the name.
    /// ```
    pub fn use_sni(mut self, use_sni: bool) -> Self {
        self.settings.use_sni = use_sni;
        self.changed()
    }

    /// Whether to accept *any* certificate: expired, of an unknown root, or for another host. Defaults
    /// to no. For clients.
    ///
    /// Then anyone on the way can read and change everything. Adding the root of a test server with
    /// [`add_root_certificate_pem`](TlsConfig::add_root_certificate_pem) is nearly always better.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::TlsConfig;
    ///
    /// let pinned = TlsConfig::client()
    ///     .pin_certificate_sha256(&"AB".repeat(32))?
    ///     .danger_accept_invalid_certs(true);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn danger_accept_invalid_certs(mut self, accept: bool) -> Self {
        self.settings.accept_invalid_certs = accept;
        self.changed()
    }

    /// Whether to accept a valid certificate for another host. Defaults to no. For clients.
    ///
    /// Then whoever has a certificate for any host can pose as the server. If the name is known,
    /// [`server_name`](TlsConfig::server_name) is better.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::TlsConfig;
    ///
    /// let tls = TlsConfig::client().danger_accept_invalid_hostnames(true);
    /// ```
    pub fn danger_accept_invalid_hostnames(mut self, accept: bool) -> Self {
        self.settings.accept_invalid_hostnames = accept;
        self.changed()
    }

    /// The oldest version to speak. Defaults to TLS 1.2.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{TlsConfig, TlsVersion};
    ///
    /// let tls = TlsConfig::client().min_protocol(TlsVersion::Tls13);
    /// ```
    pub fn min_protocol(mut self, version: TlsVersion) -> Self {
        self.settings.min_protocol = version;
        self.changed()
    }

    /// Whether the build has the TLS library.
    pub(crate) fn is_available(&self) -> bool {
        self.settings.backend.is_available()
    }

    /// Whether the peer of this session, whose handshake has ended, is one of those that were pinned.
    pub(crate) fn check_pins(&self, session: &dyn TlsSession) -> Result<(), Error> {
        Ok(self.settings.pins.check(session)?)
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

    fn new(side: Side) -> Self {
        TlsConfig {
            settings: Settings {
                side,
                backend: TlsBackend::NativeTls,
                roots: Vec::new(),
                client_roots: Vec::new(),
                no_built_in_roots: false,
                identity: None,
                pins: Pins::default(),
                server_name: None,
                use_sni: true,
                accept_invalid_certs: false,
                accept_invalid_hostnames: false,
                min_protocol: TlsVersion::Tls12,
            },
            context: Arc::default(),
        }
    }

    fn parsed(&self, certificates_pem: &[u8]) -> Result<Vec<Arc<str>>, TlsError> {
        let certificates = pem::certificates(certificates_pem)?;
        for certificate in &certificates {
            self.settings.backend.check_certificate(certificate)?;
        }
        Ok(certificates.into_iter().map(Arc::from).collect())
    }

    fn with(mut self, identity: Identity) -> Result<Self, Error> {
        self.settings.backend.check_identity(&identity)?;
        self.settings.identity = Some(identity);
        Ok(self.changed())
    }

    fn changed(mut self) -> Self {
        self.context = Arc::default();
        self
    }

    fn context(&self, side: Side) -> Result<&dyn Context, Error> {
        if self.settings.side != side {
            return Err(Misuse::Config("TLS settings of the other side").into());
        }
        self.context
            .get_or_init(|| self.settings.backend.context(&self.settings))
            .as_deref()
            .map_err(Error::clone)
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.settings;
        f.debug_struct("TlsConfig")
            .field("side", &settings.side)
            .field("backend", &settings.backend)
            .field("roots", &settings.roots.len())
            .field("client_roots", &settings.client_roots.len())
            .field("built_in_roots", &!settings.no_built_in_roots)
            .field("identity", &settings.identity.is_some())
            .field("pins", &settings.pins)
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

/// Whose settings they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

#[derive(Clone)]
#[cfg_attr(not(any(feature = "native-tls", feature = "rustls")), allow(dead_code))]
struct Settings {
    side: Side,
    backend: TlsBackend,
    /// One certificate each, in PEM, parsed before.
    roots: Vec<Arc<str>>,
    /// Those of clients, for a server, in the same way.
    client_roots: Vec<Arc<str>>,
    no_built_in_roots: bool,
    identity: Option<Identity>,
    pins: Pins,
    server_name: Option<String>,
    use_sni: bool,
    accept_invalid_certs: bool,
    accept_invalid_hostnames: bool,
    min_protocol: TlsVersion,
}
