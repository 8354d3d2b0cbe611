//! Errors of addresses.

use super::Error;
use std::fmt;

/// What is wrong with an address.
///
/// # Examples
///
/// ```
/// use wsync::{Error, UriError};
///
/// let error = wsync::connect("ws://localhost/#top").unwrap_err();
/// assert!(matches!(error, Error::Uri(UriError::Fragment)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UriError {
    /// Not a URI (RFC 3986).
    Syntax,
    /// The scheme is not `ws`, `wss` or `ws+unix`.
    Scheme,
    /// No host.
    Host,
    /// A fragment, which RFC 6455 section 3 forbids.
    Fragment,
    /// A port that is not a number of 16 bits.
    Port,
    /// User information that cannot be sent.
    UserInfo,
    /// `wss` in a build that lacks the TLS library of the configuration.
    TlsUnavailable,
    /// A host in another script than ASCII that has no form in ASCII (UTS 46).
    Idna,
    /// A host in another script than ASCII in a build without the feature `url`.
    IdnaUnavailable,
}

plain_error!(UriError, Uri, Scheme, "uri.scheme", {
    UriError::Syntax => "uri.syntax", "it is not a URI";
    UriError::Scheme => "uri.scheme", "its scheme is not ws, wss or ws+unix";
    UriError::Host => "uri.host", "it has no host";
    UriError::Fragment => "uri.fragment", "it has a fragment (#), which RFC 6455 forbids";
    UriError::Port => "uri.port", "its port is not a number up to 65535";
    UriError::UserInfo => "uri.user_info", "its user information is not a user name and a password";
    UriError::TlsUnavailable => "uri.tls_unavailable", "wss needs the feature native-tls of wsync, or rustls and TlsConfig::backend";
    UriError::Idna => "uri.idna", "its host is no name, nor can one be made of it (UTS 46)";
    UriError::IdnaUnavailable => "uri.idna_unavailable", "a host in another script than ASCII needs the feature url of wsync";
});
