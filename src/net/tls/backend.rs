//! The choice of the TLS library, and of a version.

use super::Settings;
use super::identity::Identity;
use super::session::Context;
use crate::error::{Error, TlsError};

/// The library that speaks TLS. [`TlsConfig::backend`](crate::TlsConfig::backend) sets it.
///
/// # Examples
///
/// ```
/// use wsync::{TlsBackend, TlsConfig};
///
/// let client = match TlsConfig::client().backend(TlsBackend::Rustls) {
///     Ok(client) => client,
///     Err(error) => {
///         println!("{error}, so it is native-tls");
///         TlsConfig::client()
///     }
/// };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum TlsBackend {
    /// That of the platform: OpenSSL, SChannel or Secure Transport. Feature `native-tls` or
    /// `native-tls-vendored`.
    #[default]
    NativeTls,
    /// rustls with ring. Feature `rustls`. Servers speak TLS 1.3, too, and can ask clients for certificates.
    /// A certificate must have its names as alternative names (RFC 6125), not only as common name.
    Rustls,
}

impl TlsBackend {
    /// Whether the build has it.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::TlsBackend;
    ///
    /// let all = [TlsBackend::Rustls, TlsBackend::NativeTls];
    /// let first = all.into_iter().find(|backend| backend.is_available());
    /// println!("TLS by {first:?}");
    /// ```
    pub fn is_available(self) -> bool {
        match self {
            TlsBackend::NativeTls => cfg!(feature = "native-tls"),
            TlsBackend::Rustls => cfg!(feature = "rustls"),
        }
    }

    pub(super) fn check_available(self) -> Result<(), TlsError> {
        match self.is_available() {
            true => Ok(()),
            false => Err(self.is_missing()),
        }
    }

    fn is_missing(self) -> TlsError {
        TlsError::plain(match self {
            TlsBackend::NativeTls => {
                "this build of wsync lacks the feature native-tls; TlsConfig::backend chooses another"
            }
            TlsBackend::Rustls => "this build of wsync lacks the feature rustls",
        })
    }

    pub(super) fn context(self, settings: &Settings) -> Result<Box<dyn Context>, Error> {
        match self {
            #[cfg(feature = "native-tls")]
            TlsBackend::NativeTls => Ok(Box::new(super::native::Native::new(settings)?)),
            #[cfg(feature = "rustls")]
            TlsBackend::Rustls => Ok(Box::new(super::rustls::Rustls::new(settings)?)),
            #[cfg(not(all(feature = "native-tls", feature = "rustls")))]
            _ => {
                let _ = settings;
                Err(self.is_missing().into())
            }
        }
    }

    /// Whether a certificate can be parsed. What a library that is not there would say, nobody knows.
    pub(super) fn check_certificate(self, pem: &str) -> Result<(), TlsError> {
        match self {
            #[cfg(feature = "native-tls")]
            TlsBackend::NativeTls => super::native::check_certificate(pem),
            #[cfg(feature = "rustls")]
            TlsBackend::Rustls => super::rustls::check_certificate(pem),
            #[cfg(not(all(feature = "native-tls", feature = "rustls")))]
            _ => {
                let _ = pem;
                Ok(())
            }
        }
    }

    /// Whether certificate and key can be parsed, and belong together.
    pub(super) fn check_identity(self, identity: &Identity) -> Result<(), TlsError> {
        match self {
            #[cfg(feature = "native-tls")]
            TlsBackend::NativeTls => super::native::check_identity(identity),
            #[cfg(feature = "rustls")]
            TlsBackend::Rustls => super::rustls::check_identity(identity),
            #[cfg(not(all(feature = "native-tls", feature = "rustls")))]
            _ => {
                let _ = identity;
                Ok(())
            }
        }
    }
}

/// A version of TLS.
///
/// # Examples
///
/// ```
/// use wsync::TlsVersion;
///
/// assert!(TlsVersion::Tls12 < TlsVersion::Tls13);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446). With [`TlsBackend::NativeTls`], macOS does not have it, nor has a server on
    /// OpenSSL: asking for it there is an error of every connection.
    Tls13,
}
