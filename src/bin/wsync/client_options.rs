//! The options of a client, the same for all commands that connect.

mod secret;
mod tls;

use crate::failure::Failure;
use clap::{Args, ValueEnum};
use std::fs;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;
use tls::TlsOptions;
use wsync::{ClientBuilder, CloseCode, Compression, Config, Keepalive, Overflow, Proxy};

/// What a client can be told.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Request")]
pub(crate) struct ClientOptions {
    /// Add a header to the request: 'Name: value', or @FILE with one on each line
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// Offer a subprotocol; those named first are liked best
    #[arg(short, long = "subprotocol", value_name = "NAME")]
    subprotocols: Vec<String>,
    /// Send this Origin, as a browser does
    #[arg(short, long)]
    origin: Option<String>,
    /// Send this User-Agent; '' sends none
    #[arg(short = 'A', long, value_name = "NAME")]
    user_agent: Option<String>,
    /// Send Basic credentials; the password is asked for, or taken from WSYNC_PASSWORD, if it is not given
    #[arg(short = 'u', long = "user", value_name = "USER[:PASSWORD]", conflicts_with_all = ["bearer", "digest"])]
    basic: Option<String>,
    /// Answer a Digest challenge; the password as for --user
    #[arg(long, value_name = "USER[:PASSWORD]")]
    digest: Option<String>,
    /// Send a bearer token: TOKEN, or @FILE that has it
    #[arg(long, value_name = "TOKEN", conflicts_with = "digest")]
    bearer: Option<String>,
    #[command(flatten)]
    way: WayOptions,
    #[command(flatten)]
    tls: TlsOptions,
    #[command(flatten)]
    bounds: BoundOptions,
}

/// How the server is reached.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Connection")]
struct WayOptions {
    /// Go through this proxy: http://, https://, socks5:// or socks4a://. Defaults to that of the environment
    #[arg(short = 'x', long, value_name = "URL")]
    proxy: Option<String>,
    /// Go through no proxy, whatever the environment says
    #[arg(long, conflicts_with = "proxy")]
    no_proxy: bool,
    /// Connect to this host and port in place of those of the URL, which stay in the request and in TLS
    #[arg(long, value_name = "HOST:PORT")]
    connect_to: Option<String>,
    /// Connect from this address of this machine
    #[arg(long, value_name = "ADDRESS")]
    source: Option<IpAddr>,
    /// Follow up to N redirects (5 if no number is given)
    #[arg(short = 'L', long = "redirects", value_name = "N", default_value_t = 0, default_missing_value = "5",
          num_args = 0..=1, require_equals = true, hide_default_value = true)]
    redirects: usize,
    /// Offer compression (permessage-deflate)
    #[arg(short, long)]
    compress: bool,
}

/// How long things may take, and how big they may be.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Bounds")]
struct BoundOptions {
    /// Give up when the connection is not open by then; inf waits
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    open_timeout: f64,
    /// Try the next address of the host when one has not answered by then
    #[arg(long, value_name = "SECONDS")]
    connect_timeout: Option<f64>,
    /// Wait so long for the server's answer to a Close frame
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    close_timeout: f64,
    /// End when a message cannot be sent in this time; inf waits
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    send_timeout: f64,
    /// Send a ping at this interval, and end when nothing comes in as long a time; 0 sends none
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0)]
    ping_interval: f64,
    /// Receive messages of up to so many bytes [default: 64 MiB]
    #[arg(long, value_name = "BYTES")]
    max_message: Option<usize>,
    /// Queue up to so many messages that nobody has taken yet [default: 1024]
    #[arg(long, value_name = "MESSAGES")]
    queue: Option<usize>,
    /// Queue up to so many bytes [default: 16 MiB]
    #[arg(long, value_name = "BYTES")]
    queue_bytes: Option<usize>,
    /// What becomes of a message that comes with the queue full
    #[arg(long, value_enum, default_value_t = WhenFull::Block)]
    overflow: WhenFull,
}

/// [`Overflow`] on the command line.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum WhenFull {
    /// It waits with the server: nothing is read until there is room
    Block,
    /// The oldest messages are dropped
    DropOldest,
    /// It is dropped itself
    DropNewest,
    /// All that wait are dropped
    KeepLatest,
    /// The connection is closed with 1008
    Close,
}

impl ClientOptions {
    /// A client of `url`: a `ws` address where it has no scheme, and `http` stands for `ws`.
    pub(crate) fn builder(&self, url: &str) -> Result<ClientBuilder, Failure> {
        let url = with_scheme(url);
        let builder = ClientBuilder::new(&url)
            .config(self.bounds.config(self.way.compress)?)
            .tls(self.tls.config()?);
        let builder = self.with_request(builder)?;
        self.way.apply(builder, &url, &self.tls, &self.bounds)
    }

    /// Whether any certificate will do.
    pub(crate) fn is_insecure(&self) -> bool {
        self.tls.insecure
    }

    fn with_request(&self, mut builder: ClientBuilder) -> Result<ClientBuilder, Failure> {
        for header in secret::headers(&self.headers)? {
            let (name, value) = header
                .split_once(':')
                .ok_or_else(|| Failure::Usage(format!("a header without a colon: {header}")))?;
            builder = builder.header(name.trim_end(), value.trim());
        }
        for subprotocol in &self.subprotocols {
            builder = builder.subprotocol(subprotocol);
        }
        if let Some(origin) = &self.origin {
            builder = builder.origin(origin);
        }
        if let Some(user_agent) = self.user_agent.as_deref() {
            builder = builder.user_agent(Some(user_agent).filter(|name| !name.is_empty()));
        }
        if let Some(given) = &self.basic {
            let (user, password) = secret::credentials(given)?;
            builder = builder.basic_auth(user, password);
        }
        if let Some(given) = &self.digest {
            let (user, password) = secret::credentials(given)?;
            builder = builder.digest_auth(user, password);
        }
        if let Some(token) = &self.bearer {
            builder = builder.bearer_auth(secret::token(token)?);
        }
        Ok(builder)
    }
}

impl WayOptions {
    fn apply(
        &self,
        mut builder: ClientBuilder,
        url: &str,
        tls: &TlsOptions,
        bounds: &BoundOptions,
    ) -> Result<ClientBuilder, Failure> {
        builder = builder.follow_redirects(self.redirects);
        if let Some(timeout) = bounds.connect_timeout {
            builder = builder.connect_timeout(bound(timeout)?);
        }
        if let Some(source) = self.source {
            builder = builder.source_address(source);
        }
        if let Some(to) = self.connect_to.clone() {
            let problem = |e| Failure::Usage(format!("--connect-to {to}: {e}"));
            to.to_socket_addrs().map_err(problem)?;
            builder = builder.resolver(move |_, _| Ok(to.to_socket_addrs()?.collect()));
        }
        let proxy = match &self.proxy {
            Some(proxy) => Some(Proxy::parse(proxy).map_err(usage)?),
            None if self.no_proxy => None,
            None => Proxy::from_env(url).map_err(usage)?,
        };
        Ok(match proxy {
            Some(proxy) => builder.proxy(proxy.tls(tls.of_proxy()?)),
            None => builder,
        })
    }
}

impl BoundOptions {
    fn config(&self, compress: bool) -> Result<Config, Failure> {
        let mut config = Config::client();
        config.timeouts.open = bound(self.open_timeout)?;
        config.timeouts.close = bound(self.close_timeout)?;
        config.timeouts.send = bound(self.send_timeout)?;
        config.compression = compress.then(Compression::client);
        config.keepalive = match bound(self.ping_interval)? {
            None | Some(Duration::ZERO) => Keepalive::off(),
            interval => {
                let mut keepalive = Keepalive::default();
                keepalive.interval = interval;
                keepalive.timeout = interval;
                keepalive
            }
        };
        config.limits.message = self.max_message.unwrap_or(config.limits.message);
        config.queue.messages = self.queue.unwrap_or(config.queue.messages);
        config.queue.bytes = self.queue_bytes.unwrap_or(config.queue.bytes);
        config.queue.overflow = match self.overflow {
            WhenFull::Block => Overflow::Block,
            WhenFull::DropOldest => Overflow::DropOldest,
            WhenFull::DropNewest => Overflow::DropNewest,
            WhenFull::KeepLatest => Overflow::KeepLatest,
            WhenFull::Close => Overflow::Close(CloseCode::POLICY_VIOLATION),
        };
        Ok(config)
    }
}

/// A hundred years: no clock ends within it.
pub(crate) const LONGEST: Duration = Duration::from_secs(3_155_760_000);

/// Seconds of the command line, or [`LONGEST`].
pub(crate) fn seconds(number: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(number)
        .map(|duration| duration.min(LONGEST))
        .map_err(|e| Failure::Usage(format!("{number} s: {e}")))
}

/// The same where there may be no bound.
pub(crate) fn bound(number: f64) -> Result<Option<Duration>, Failure> {
    match number == f64::INFINITY {
        true => Ok(None),
        false => seconds(number).map(Some),
    }
}

fn with_scheme(url: &str) -> String {
    let is = |scheme: &str| {
        let start = url.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    match () {
        () if is("http://") || is("https://") => format!("ws{}", &url[4..]),
        () if url.contains("://") || is("ws+unix:") => url.to_owned(),
        () => format!("ws://{url}"),
    }
}

fn usage(error: wsync::Error) -> Failure {
    Failure::Usage(error.to_string())
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|e| Failure::file(path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_the_scheme_that_is_meant() {
        for (given, meant) in [
            ("localhost:9001/x", "ws://localhost:9001/x"),
            ("wss://example.org", "wss://example.org"),
            ("http://example.org/?a", "ws://example.org/?a"),
            ("HTTPS://example.org", "wsS://example.org"),
            ("ws+unix:/run/app.sock", "ws+unix:/run/app.sock"),
            ("é", "ws://é"),
        ] {
            assert_eq!(with_scheme(given), meant);
        }
    }

    #[test]
    fn only_infinity_is_no_bound() {
        assert_eq!(bound(f64::INFINITY).unwrap(), None);
        assert_eq!(bound(1.5).unwrap(), Some(Duration::from_millis(1500)));
        assert!(bound(-1.0).is_err() && bound(f64::NAN).is_err());
    }
}
