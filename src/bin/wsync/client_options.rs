//! The options of a client, the same for all commands that connect.

use crate::failure::Failure;
use clap::{Args, ValueEnum};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wsync::{ClientBuilder, Compression, Config, Keepalive, Proxy, TlsBackend, TlsConfig};

/// What a client can be told.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ClientOptions {
    /// Add a header to the request: 'Name: value'
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// Offer a subprotocol; those named first are liked best
    #[arg(short, long = "subprotocol", value_name = "NAME")]
    subprotocols: Vec<String>,
    /// Send this Origin, as a browser does
    #[arg(short, long)]
    origin: Option<String>,
    /// Send Basic credentials
    #[arg(short, long = "user", value_name = "USER:PASSWORD", conflicts_with_all = ["bearer", "digest"])]
    basic: Option<String>,
    /// Send a bearer token
    #[arg(long, value_name = "TOKEN", conflicts_with = "digest")]
    bearer: Option<String>,
    /// Answer a Digest challenge
    #[arg(long, value_name = "USER:PASSWORD")]
    digest: Option<String>,
    /// Go through this proxy: http://, https://, socks5:// or socks4a://. Defaults to that of the environment
    #[arg(short = 'x', long, value_name = "URL")]
    proxy: Option<String>,
    /// Go through no proxy, whatever the environment says
    #[arg(long, conflicts_with = "proxy")]
    no_proxy: bool,
    /// Follow up to N redirects
    #[arg(short = 'L', long = "redirects", value_name = "N", default_value_t = 0, default_missing_value = "5", num_args = 0..=1, require_equals = true)]
    redirects: usize,
    /// Offer compression (permessage-deflate)
    #[arg(short, long)]
    compress: bool,
    /// Give up when the connection is not open by then, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    open_timeout: f64,
    /// Send a ping at this interval, in seconds; 0 sends none
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0)]
    ping_interval: f64,
    /// Receive messages of up to so many bytes
    #[arg(long, value_name = "BYTES")]
    max_message: Option<usize>,
    #[command(flatten)]
    tls: TlsOptions,
}

#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "TLS")]
struct TlsOptions {
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
    insecure: bool,
    /// The library that speaks TLS
    #[arg(long, value_enum, default_value_t = Backend::Rustls)]
    tls_backend: Backend,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Rustls,
    NativeTls,
}

impl From<Backend> for TlsBackend {
    fn from(backend: Backend) -> Self {
        match backend {
            Backend::Rustls => TlsBackend::Rustls,
            Backend::NativeTls => TlsBackend::NativeTls,
        }
    }
}

impl ClientOptions {
    /// A client of `url`, which is a `ws://` address where it has no scheme.
    pub(crate) fn builder(&self, url: &str) -> Result<ClientBuilder, Failure> {
        let url = match url.contains("://") {
            true => url.to_owned(),
            false => format!("ws://{url}"),
        };
        let mut builder = ClientBuilder::new(url)
            .config(self.config()?)
            .follow_redirects(self.redirects)
            .tls(self.tls.config().map_err(usage)?);
        for header in &self.headers {
            let (name, value) = header
                .split_once(':')
                .ok_or_else(|| Failure::Usage(format!("a header without a colon: {header:?}")))?;
            builder = builder.header(name.trim_end(), value.trim());
        }
        for subprotocol in &self.subprotocols {
            builder = builder.subprotocol(subprotocol);
        }
        if let Some(origin) = &self.origin {
            builder = builder.origin(origin);
        }
        if let Some((user, password)) = credentials(self.basic.as_deref())? {
            builder = builder.basic_auth(user, password);
        }
        if let Some(token) = &self.bearer {
            builder = builder.bearer_auth(token);
        }
        if let Some((user, password)) = credentials(self.digest.as_deref())? {
            builder = builder.digest_auth(user, password);
        }
        Ok(match &self.proxy {
            Some(proxy) => builder.proxy(Proxy::parse(proxy).map_err(usage)?),
            None if self.no_proxy => builder,
            None => builder.proxy_from_env(),
        })
    }

    fn config(&self) -> Result<Config, Failure> {
        let mut config = Config::client();
        config.timeouts.open = Some(seconds(self.open_timeout)?);
        config.compression = self.compress.then(Compression::client);
        config.keepalive = match seconds(self.ping_interval)? {
            Duration::ZERO => Keepalive::off(),
            interval => {
                let mut keepalive = Keepalive::default();
                keepalive.interval = Some(interval);
                keepalive
            }
        };
        if let Some(bytes) = self.max_message {
            config.limits.message = bytes;
        }
        Ok(config)
    }
}

impl TlsOptions {
    fn config(&self) -> Result<TlsConfig, wsync::Error> {
        let mut tls = TlsConfig::client().backend(self.tls_backend.into())?;
        if let Some(ca) = &self.ca {
            tls = tls.add_root_certificate_pem(&read(ca)?)?;
        }
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            tls = tls.identity_pem(&read(cert)?, &read(key)?)?;
        }
        if let Some(pin) = &self.pin {
            tls = tls.pin_certificate_sha256(pin)?;
        }
        if let Some(name) = &self.server_name {
            tls = tls.server_name(name);
        }
        Ok(tls
            .disable_built_in_roots(self.only_ca)
            .danger_accept_invalid_certs(self.insecure)
            .danger_accept_invalid_hostnames(self.insecure))
    }
}

fn usage(error: wsync::Error) -> Failure {
    Failure::Usage(error.to_string())
}

fn read(path: &Path) -> Result<Vec<u8>, wsync::Error> {
    let named =
        |e: std::io::Error| std::io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    Ok(fs::read(path).map_err(named)?)
}

fn credentials(given: Option<&str>) -> Result<Option<(&str, &str)>, Failure> {
    let Some(given) = given else { return Ok(None) };
    let parts = given.split_once(':');
    parts
        .map(Some)
        .ok_or_else(|| Failure::Usage("credentials are USER:PASSWORD".into()))
}

/// A hundred years: no clock ends within it.
pub(crate) const LONGEST: Duration = Duration::from_secs(3_155_760_000);

/// Seconds of the command line, or [`LONGEST`].
pub(crate) fn seconds(number: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(number)
        .map(|duration| duration.min(LONGEST))
        .map_err(|e| Failure::Usage(format!("{number} s: {e}")))
}
