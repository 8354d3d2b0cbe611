//! Certificates that a client insists on.

use super::session::TlsSession;
use crate::error::TlsError;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use std::fmt;

/// SHA-256 fingerprints, of which a server's certificate must have one, if there are any.
#[derive(Clone, Default)]
pub(super) struct Pins(Vec<[u8; 32]>);

impl Pins {
    pub(super) fn add(&mut self, fingerprint: &str) -> Result<(), TlsError> {
        let digits = fingerprint.replace(':', "");
        let hash = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok();
        let hash = hash.and_then(|hash| hash.try_into().ok());
        let wrong = "a fingerprint is not SHA-256: 64 digits in hexadecimal";
        self.0.push(hash.ok_or_else(|| TlsError::plain(wrong))?);
        Ok(())
    }

    pub(super) fn check(&self, session: &dyn TlsSession) -> Result<(), TlsError> {
        let shown = || session.peer_certificate().map(|der| sha256(&der));
        match self.0.is_empty() || shown().is_some_and(|hash| self.0.contains(&hash)) {
            true => Ok(()),
            false => Err(TlsError::plain(
                "the server's certificate is none of those that are pinned",
            )),
        }
    }
}

impl fmt::Debug for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hashes = self.0.iter();
        f.debug_list()
            .entries(hashes.map(|hash| HEXLOWER.encode(hash)))
            .finish()
    }
}

#[cfg(any(feature = "native-tls", feature = "rustls"))]
fn sha256(der: &[u8]) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest(der).into()
}

/// There is no session to ask about.
#[cfg(not(any(feature = "native-tls", feature = "rustls")))]
fn sha256(_: &[u8]) -> [u8; 32] {
    [0; 32]
}
