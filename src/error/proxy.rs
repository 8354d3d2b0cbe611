//! What can go wrong with a proxy.

use super::Error;
use std::fmt;

/// What is wrong with a proxy.
///
/// # Examples
///
/// ```
/// use wsync::{Error, Proxy, ProxyError};
///
/// let error = Proxy::parse("ftp://proxy.example").unwrap_err();
/// assert!(matches!(error, Error::Proxy(ProxyError::Scheme)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyError {
    /// Not the URL of a proxy: it has a path, a query, a fragment, or no scheme.
    Url,
    /// The scheme is not `http`, `https`, `socks5`, `socks5h` or `socks4a`.
    Scheme,
    /// A name or credentials that are too long for SOCKS, or an IPv6 address, which SOCKS4a does not know.
    Length,
    /// The proxy asks for credentials, or refuses these.
    Credentials,
    /// An HTTP proxy refuses with this status.
    Status(http::StatusCode),
    /// A SOCKS proxy refuses with this code (RFC 1928 section 6).
    Socks(u8),
    /// What it says is not what its scheme promises.
    Malformed,
    /// It ended the connection before it had answered.
    Eof,
}

plain_error!(ProxyError, Proxy, Url, "proxy.url", {
    ProxyError::Url => "proxy.url", "it is not the URL of a proxy";
    ProxyError::Scheme => "proxy.scheme", "its scheme is not http, https, socks5, socks5h or socks4a";
    ProxyError::Length => "proxy.length", "the host or the credentials do not fit into what SOCKS has for them";
    ProxyError::Credentials => "proxy.credentials", "it asks for other credentials";
    ProxyError::Status(status) => "proxy.status", "it refuses with {status}";
    ProxyError::Socks(code) => "proxy.socks", "it refuses with code {code}: {}", socks_reason(*code);
    ProxyError::Malformed => "proxy.malformed", "what it says is not what its scheme promises";
    ProxyError::Eof => "proxy.eof", "it ended the connection before it had answered";
});

/// RFC 1928 section 6, and SOCKS4.
fn socks_reason(code: u8) -> &'static str {
    match code {
        1 => "general failure",
        2 => "not allowed by its rules",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "TTL expired",
        7 => "command not supported",
        8 => "address type not supported",
        91 => "rejected or failed",
        _ => "unknown",
    }
}
