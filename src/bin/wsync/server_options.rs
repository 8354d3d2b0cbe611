//! The options of a server.

use crate::client_options::seconds;
use crate::failure::Failure;
use clap::Args;
use http::{Request, Response};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};
use wsync::{
    Compression, Config, Keepalive, ListenAddr, Listener, OriginPolicy, Server, ServerBuilder,
    ServerLimits, TlsBackend, TlsConfig, Upgrade,
};

/// What a server can be told.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerOptions {
    /// Speak TLS (wss), with this certificate and key (PEM)
    #[arg(long, num_args = 2, value_names = ["CERT", "KEY"])]
    tls: Vec<PathBuf>,
    /// Let browsers in with pages of this site: scheme://host:port. Defaults to those of this host and port
    #[arg(short, long = "origin", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// Let browsers in with pages of any site
    #[arg(long, conflicts_with = "origins")]
    any_origin: bool,
    /// Demand Basic credentials; the password is that of WSYNC_PASSWORD, if it is not given
    #[arg(long = "user", value_name = "USER[:PASSWORD]", value_parser = credentials)]
    basic: Option<Credentials>,
    /// Speak a subprotocol; those named first are liked best
    #[arg(short, long = "subprotocol", value_name = "NAME")]
    subprotocols: Vec<String>,
    /// Agree to compression (permessage-deflate)
    #[arg(short, long)]
    compress: bool,
    /// Have at most so many connections
    #[arg(long, value_name = "N")]
    max_connections: Option<usize>,
    /// Receive messages of up to so many bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    max_message: usize,
    /// Send a ping at this interval, in seconds; 0 sends none
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0)]
    ping_interval: f64,
    /// Answer HTTP requests for this path with 200
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = "/health")]
    health: Option<String>,
}

#[derive(Debug, Clone)]
struct Credentials {
    user: String,
    password: String,
}

fn credentials(given: &str) -> Result<Credentials, &'static str> {
    let (user, password) = match given.split_once(':') {
        Some((user, password)) => (user, password.to_owned()),
        None => (
            given,
            env::var("WSYNC_PASSWORD").map_err(|_| "a user without a password")?,
        ),
    };
    Ok(Credentials {
        user: user.into(),
        password,
    })
}

impl ServerOptions {
    /// A server that listens. As many bytes as `outbox` may wait for a client, or the default.
    pub(crate) fn listen(&self, address: &str, outbox: Option<usize>) -> Result<Server, Failure> {
        let mut config = Config::server();
        config.limits.outbox = outbox.unwrap_or(config.limits.outbox);
        config.limits.message = self.max_message;
        config.compression = self.compress.then(Compression::server);
        config.keepalive = match seconds(self.ping_interval)? {
            Duration::ZERO => Keepalive::off(),
            interval => {
                let mut keepalive = Keepalive::default();
                keepalive.interval = Some(interval);
                keepalive
            }
        };
        let mut limits = ServerLimits::default();
        limits.connections = self.max_connections.or(limits.connections);
        let mut builder = Server::builder()
            .config(config)
            .limits(limits)
            .origins(self.origin_policy());
        for subprotocol in &self.subprotocols {
            builder = builder.subprotocol(subprotocol);
        }
        if let [cert, key] = &self.tls[..] {
            builder = builder.tls(identity(cert, key)?);
        }
        if let Some(path) = self.health.clone() {
            builder = builder.on_request(move |request| health(request, &path));
        }
        listen(builder, address)
    }

    fn origin_policy(&self) -> OriginPolicy {
        match &self.origins[..] {
            _ if self.any_origin => OriginPolicy::Any,
            [] => OriginPolicy::SameHost,
            sites => OriginPolicy::Only(sites.to_vec()),
        }
    }

    pub(crate) fn speaks_tls(&self) -> bool {
        !self.tls.is_empty()
    }

    /// The user that a client must be, if any.
    pub(crate) fn user(&self) -> Option<&str> {
        self.basic.as_ref().map(|basic| basic.user.as_str())
    }

    /// A client that has what is demanded; the others are asked for it.
    pub(crate) fn admit(&self, upgrade: Upgrade) -> Option<Upgrade> {
        match &self.basic {
            Some(basic) if !upgrade.has_basic_auth(&basic.user, &basic.password) => {
                // Who is gone needs no answer.
                let _ = upgrade.demand_basic_auth("wsync");
                None
            }
            _ => Some(upgrade),
        }
    }
}

/// A server of this builder. An address is HOST:PORT, :PORT, PORT or unix:PATH.
pub(crate) fn listen(builder: ServerBuilder, address: &str) -> Result<Server, Failure> {
    let cannot = |e: wsync::Error| Failure::NotListening(format!("{address}: {e}"));
    let listener = match address.strip_prefix("unix:") {
        #[cfg(unix)]
        Some(path) => Listener::unix(path),
        #[cfg(not(unix))]
        Some(_) => return Err(Failure::Usage("no Unix sockets on this system".into())),
        None if address.starts_with(':') => Listener::tcp(format!("127.0.0.1{address}")),
        None if !address.contains(':') => Listener::tcp(format!("127.0.0.1:{address}")),
        None => Listener::tcp(address),
    };
    let server = builder.listen(listener.map_err(cannot)?).build();
    server.map_err(|e| Failure::Usage(e.to_string()))
}

/// The certificate and the key of a server.
pub(crate) fn identity(cert: &Path, key: &Path) -> Result<TlsConfig, Failure> {
    let read = |path: &Path| fs::read(path).map_err(|e| Failure::file(path, &e));
    TlsConfig::server(&read(cert)?, &read(key)?)
        // It speaks TLS 1.3 on every system.
        .and_then(|tls| tls.backend(TlsBackend::Rustls))
        .map_err(|e| Failure::Usage(format!("{}, {}: {e}", cert.display(), key.display())))
}

/// The address that a client is to be given.
pub(crate) fn url(server: &Server, tls: bool) -> String {
    let scheme = if tls { "wss" } else { "ws" };
    match &server.local_addrs()[0] {
        ListenAddr::Unix(Some(path)) => format!("ws+unix:{}", path.display()),
        address => format!("{scheme}://{address}/"),
    }
}

fn health(request: &Request<()>, path: &str) -> Option<Response<Vec<u8>>> {
    (request.uri().path() == path).then(|| Response::new(b"ok\n".to_vec()))
}
