//! A certificate with its key.

use super::pem;
use crate::error::TlsError;
use std::sync::Arc;

/// A certificate with its chain, and the key, in PEM, whose blocks are in order.
#[derive(Clone)]
#[cfg_attr(not(any(feature = "native-tls", feature = "rustls")), allow(dead_code))]
pub(super) struct Identity {
    pub(super) chain: Arc<str>,
    pub(super) key: Arc<str>,
}

impl Identity {
    pub(super) fn parse(certificates_pem: &[u8], key_pem: &[u8]) -> Result<Self, TlsError> {
        Ok(Identity {
            chain: pem::certificates(certificates_pem)?.concat().into(),
            key: pem::private_key(key_pem)?.into(),
        })
    }

    #[cfg(feature = "pkcs12")]
    pub(super) fn from_pkcs12(der: &[u8], password: &str) -> Result<Self, TlsError> {
        let store = p12_keystore::KeyStore::from_pkcs12(der, password)
            .map_err(|e| TlsError::new("the PKCS#12 file", e))?;
        let Some((_, identity)) = store.private_key_chain() else {
            return Err(TlsError::plain("there is no key in the PKCS#12 file"));
        };
        let certificates = identity.chain().iter();
        let chain: String = certificates
            .map(|certificate| pem::block("CERTIFICATE", certificate.as_der()))
            .collect();
        if chain.is_empty() {
            return Err(TlsError::plain(
                "there is no certificate with the key in the PKCS#12 file",
            ));
        }
        Ok(Identity {
            chain: chain.into(),
            key: pem::block("PRIVATE KEY", identity.key()).into(),
        })
    }
}
