//! Proxies: which one, and the way through it.

mod env;
mod http;
mod socks;

use crate::credentials::Credentials;
use crate::error::{Error, ProxyError};
use crate::net::TlsConfig;
use crate::net::link::Link;
use crate::uri::{Target, parse_host_and_port};
use std::fmt;
use std::time::Instant;

/// A proxy, through which a client reaches its server.
///
/// | URL | |
/// |---|---|
/// | `http://HOST[:PORT]` | HTTP CONNECT (RFC 9110 section 9.3.6); port 80 |
/// | `https://HOST[:PORT]` | the same over TLS; port 443 |
/// | `socks5://HOST[:PORT]`, `socks5h://…` | SOCKS5 (RFC 1928); port 1080 |
/// | `socks4a://HOST[:PORT]` | SOCKS4a; port 1080 |
///
/// The proxy resolves the server's name. `USER:PASSWORD@` before the host goes to the proxy alone, as Basic
/// credentials (RFC 7617) or those of SOCKS5 (RFC 1929); SOCKS4a takes the user.
///
/// # Examples
///
/// ```no_run
/// use wsync::{ClientBuilder, Proxy};
///
/// let proxy = Proxy::parse("socks5h://user:password@proxy.example:1080")?;
/// let ws = ClientBuilder::new("wss://example.org/feed").proxy(proxy).connect()?;
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Clone)]
pub struct Proxy {
    kind: Kind,
    host: String,
    port: u16,
    credentials: Option<Credentials>,
    tls: TlsConfig,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Https,
    Socks5,
    Socks4a,
}

/// One end of what is said to a proxy: bytes in, bytes out.
trait Negotiation {
    /// What is said first.
    fn begin(&mut self) -> Vec<u8>;

    fn receive(&mut self, bytes: &[u8]) -> Result<Progress, ProxyError>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Progress {
    /// More has to come.
    More,
    Send(Vec<u8>),
    /// What follows is between the client and the server.
    Done,
}

impl Proxy {
    /// A proxy by its URL.
    ///
    /// # Errors
    ///
    /// [`Error::Proxy`] for a scheme that is not one of these, and for a path, a query or a fragment;
    /// [`Error::Uri`] for a host, port or user information that is none.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Proxy;
    ///
    /// let proxy = Proxy::parse("http://user:secret@proxy.example:3128")?;
    /// assert!(!format!("{proxy:?}").contains("secret"));
    /// assert!(Proxy::parse("http://proxy.example/path").is_err());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn parse(url: &str) -> Result<Self, Error> {
        if !url.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(ProxyError::Url.into());
        }
        let (scheme, rest) = url.split_once("://").ok_or(ProxyError::Url)?;
        let kind = match scheme.to_ascii_lowercase().as_str() {
            "http" => Kind::Http,
            "https" => Kind::Https,
            "socks5" | "socks5h" => Kind::Socks5,
            "socks4a" => Kind::Socks4a,
            _ => return Err(ProxyError::Scheme.into()),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(ProxyError::Url.into());
        }
        let (credentials, host_and_port) = match authority.rsplit_once('@') {
            Some((user_info, rest)) => (Some(Credentials::parse(user_info)?), rest),
            None => (None, authority),
        };
        let (host, port) = parse_host_and_port(host_and_port)?;
        let port = port.unwrap_or(match kind {
            Kind::Http => 80,
            Kind::Https => 443,
            Kind::Socks5 | Kind::Socks4a => 1080,
        });
        Ok(Proxy {
            kind,
            host,
            port,
            credentials,
            tls: TlsConfig::client(),
        })
    }

    /// The proxy that the environment names for an address, if it names one.
    ///
    /// For `wss` that is the first of `WSS_PROXY`, `HTTPS_PROXY` and `ALL_PROXY`, for `ws` of `WS_PROXY`,
    /// `HTTP_PROXY` and `ALL_PROXY` that is set and not empty; the same in lower case come first. Without a
    /// scheme it is an HTTP proxy. `NO_PROXY` lists what is reached without one, with commas between: hosts
    /// with their subdomains, perhaps with a port, addresses, networks such as `10.0.0.0/8`, or `*`.
    /// `HTTP_PROXY` in upper case is left out where `REQUEST_METHOD` is set: there a client of a CGI program
    /// sets it.
    ///
    /// # Errors
    ///
    /// [`Error::Uri`] for the address; those of [`parse`](Self::parse) for what the environment has.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use wsync::{ClientBuilder, Proxy};
    ///
    /// let url = "wss://example.org/feed";
    /// let proxy = Proxy::from_env(url)?;
    /// let builder = ClientBuilder::new(url).proxy(proxy);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn from_env(uri: &str) -> Result<Option<Self>, Error> {
        Proxy::for_target(&Target::parse(uri)?)
    }

    pub(crate) fn for_target(target: &Target) -> Result<Option<Self>, Error> {
        env::find(target, |name| std::env::var(name).ok())
    }

    /// The settings of TLS with an `https` proxy: its roots, a certificate to show. Defaults to
    /// [`TlsConfig::client`]. The server's are those of
    /// [`ClientBuilder::tls`](crate::ClientBuilder::tls).
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Proxy, TlsConfig};
    ///
    /// # std::env::set_current_dir("tests/certs")?;
    /// let tls = TlsConfig::client().add_root_certificate_pem(&std::fs::read("ca.pem")?)?;
    /// let proxy = Proxy::parse("https://proxy.example")?.tls(tls);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = tls;
        self
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Over a link to the proxy: makes it one to the server.
    pub(crate) fn open(
        &self,
        link: &mut Link,
        (host, port): (&str, u16),
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        if self.kind == Kind::Https {
            link.start_tls_client(&self.tls, &self.host, deadline)?;
        }
        let credentials = self.credentials.as_ref();
        match self.kind {
            Kind::Http | Kind::Https => {
                let authority = match host.contains(':') {
                    true => format!("[{host}]:{port}"),
                    false => format!("{host}:{port}"),
                };
                negotiate(http::Connect::new(&authority, credentials), link, deadline)
            }
            Kind::Socks5 => {
                let socks = socks::Socks5::new(host, port, credentials)?;
                negotiate(socks, link, deadline)
            }
            Kind::Socks4a => {
                let socks = socks::Socks4a::new(host, port, credentials)?;
                negotiate(socks, link, deadline)
            }
        }
    }
}

impl fmt::Debug for Proxy {
    /// Without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("kind", &self.kind)
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

fn negotiate(
    mut with: impl Negotiation,
    link: &mut Link,
    deadline: Option<Instant>,
) -> Result<(), Error> {
    link.write_all(&with.begin(), deadline)?;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        if link.read(&mut bytes, deadline)? == 0 {
            return Err(ProxyError::Eof.into());
        }
        match with.receive(&bytes)? {
            Progress::More => {}
            Progress::Send(bytes) => link.write_all(&bytes, deadline)?,
            Progress::Done => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Proxy {
        Proxy::parse(url).unwrap()
    }

    #[test]
    fn ports_follow_from_the_scheme() {
        for (url, kind, port) in [
            ("http://proxy", Kind::Http, 80),
            ("https://proxy/", Kind::Https, 443),
            ("SOCKS5://proxy", Kind::Socks5, 1080),
            ("socks5h://proxy:9050", Kind::Socks5, 9050),
            ("socks4a://proxy", Kind::Socks4a, 1080),
        ] {
            let proxy = parse(url);
            assert_eq!(
                (proxy.kind, proxy.host(), proxy.port()),
                (kind, "proxy", port)
            );
        }
        assert_eq!(parse("http://[::1]:3128").host(), "::1");
    }

    #[test]
    fn credentials_are_decoded_and_not_shown() {
        let proxy = parse("http://us%40er:p%3ass@proxy");
        let credentials = proxy.credentials.as_ref().unwrap();
        assert_eq!(
            (credentials.user(), credentials.password()),
            (&b"us@er"[..], &b"p:ss"[..])
        );
        let shown = format!("{proxy:?}");
        assert!(shown.contains("proxy") && !shown.contains("p:ss") && !shown.contains("us@er"));
    }

    #[test]
    fn what_is_no_proxy_is_refused() {
        for (url, kind) in [
            ("proxy:3128", "proxy.url"),
            ("http://proxy/path", "proxy.url"),
            ("http://proxy?query", "proxy.url"),
            ("http://proxy#fragment", "proxy.url"),
            ("http://pro xy", "proxy.url"),
            ("ftp://proxy", "proxy.scheme"),
            ("socks5://", "uri.host"),
            ("http://proxy:99999", "uri.port"),
            ("http://user@proxy", "uri.user_info"),
        ] {
            assert_eq!(Proxy::parse(url).unwrap_err().kind(), kind, "{url}");
        }
    }
}
