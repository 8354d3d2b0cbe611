//! The options of TLS.

use super::{read, usage};
use crate::failure::Failure;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use wsync::{TlsBackend, TlsConfig};

#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "TLS")]
pub(super) struct TlsOptions {
    /// Trust the certificates of this file (PEM), too
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Trust only those of --ca
    #[arg(long, requires = "ca")]
    only_ca: bool,
    /// Show this certificate (PEM) to the server
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Accept only a certificate with this SHA-256 fingerprint, in hexadecimal
    #[arg(long, value_name = "FINGERPRINT")]
    pin: Option<String>,
    /// The name that the certificate must have, in place of the host
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// Accept any certificate: whoever is between can read and change everything
    #[arg(short = 'k', long)]
    pub(super) insecure: bool,
    /// The library that speaks TLS
    #[arg(long, value_enum, default_value_t = Backend::Rustls)]
    tls_backend: Backend,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    Rustls,
    NativeTls,
}

impl TlsOptions {
    pub(super) fn config(&self) -> Result<TlsConfig, Failure> {
        let mut tls = self.of_proxy()?;
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            tls = tls.identity_pem(&read(cert)?, &read(key)?).map_err(usage)?;
        }
        if let Some(pin) = &self.pin {
            tls = tls.pin_certificate_sha256(pin).map_err(usage)?;
        }
        if let Some(name) = &self.server_name {
            tls = tls.server_name(name);
        }
        Ok(tls)
    }

    /// What is said of the server alone does not hold for an `https` proxy.
    pub(super) fn of_proxy(&self) -> Result<TlsConfig, Failure> {
        let backend = match self.tls_backend {
            Backend::Rustls => TlsBackend::Rustls,
            Backend::NativeTls => TlsBackend::NativeTls,
        };
        if !backend.is_available() {
            return Err(Failure::Usage(
                "--tls-backend native-tls: this wsync was built without the feature native-tls"
                    .into(),
            ));
        }
        let mut tls = TlsConfig::client().backend(backend).map_err(usage)?;
        if let Some(ca) = &self.ca {
            tls = tls.add_root_certificate_pem(&read(ca)?).map_err(usage)?;
        }
        Ok(tls
            .disable_built_in_roots(self.only_ca)
            .danger_accept_invalid_certs(self.insecure)
            .danger_accept_invalid_hostnames(self.insecure))
    }
}
