//! What the command line asks for.

use super::text;
use std::time::Duration;
use wsync::{
    CloseCode, Compression, Config, Keepalive, Overflow, Proxy, ServerLimits, TlsBackend, TlsConfig,
};

pub(super) const USAGE: &str = "usage: testee serve [options] PORT | echo [options] URL | recv [options] PORT
       | send [options] PORT SIZE SECS | autobahn [options] URL
  --mode recv|callback   --batch                 --pause-ms N
  --compression          --no-context-takeover   --window-bits N
  --tls CERT.pem KEY.pem (serve)   --ca FILE.pem (client)   --tls-backend native-tls|rustls
  --max-message N        --max-frame N           --max-fragments N      --max-head N
  --open-timeout-ms N    --send-timeout-ms N     --close-timeout-ms N   --message-timeout-ms N
  --ping-interval-ms N   --ping-timeout-ms N     --max-connections N    --origin O (serve)
  --queue-messages N     --queue-bytes N         --overflow block|drop-oldest|drop-newest|keep-latest|close
  --subprotocol S        --header 'Name: value' (client)
  --proxy URL (client)   --follow-redirects N (client)";

/// What the command line asks for.
pub(super) struct Options {
    pub(super) config: Config,
    pub(super) compress: bool,
    pub(super) compression: Compression,
    pub(super) tls: Option<TlsConfig>,
    backend: TlsBackend,
    pub(super) subprotocols: Vec<String>,
    pub(super) origins: Vec<String>,
    pub(super) limits: ServerLimits,
    pub(super) headers: Vec<(String, String)>,
    pub(super) proxy: Option<Proxy>,
    pub(super) redirects: usize,
    pub(super) callback: bool,
    pub(super) batch: bool,
    pub(super) pause: Duration,
    pub(super) arguments: Vec<String>,
}

pub(super) fn parse(
    mut words: impl Iterator<Item = String>,
    mut config: Config,
    compression: Compression,
) -> Result<Options, String> {
    config.keepalive = Keepalive::off();
    let mut options = Options {
        config,
        compress: false,
        compression,
        tls: None,
        backend: TlsBackend::default(),
        subprotocols: Vec::new(),
        origins: Vec::new(),
        limits: ServerLimits::default(),
        headers: Vec::new(),
        proxy: None,
        redirects: 0,
        callback: false,
        batch: false,
        pause: Duration::ZERO,
        arguments: Vec::new(),
    };
    while let Some(word) = words.next() {
        match word.strip_prefix("--") {
            None => options.arguments.push(word),
            Some("batch") => options.batch = true,
            Some("compression") => options.compress = true,
            Some("no-context-takeover") => {
                options.compression.server_no_context_takeover = true;
                options.compression.client_no_context_takeover = true;
            }
            Some(name) => {
                let mut value = || words.next().ok_or(format!("--{name} needs a value"));
                match name {
                    "tls" => {
                        let (chain, key) = (read(&value()?)?, read(&value()?)?);
                        options.tls = Some(TlsConfig::server(&chain, &key).map_err(text)?);
                    }
                    name => set(&mut options, name, value()?)?,
                }
            }
        }
    }
    if let Some(tls) = options.tls.take() {
        options.tls = Some(tls.backend(options.backend).map_err(text)?);
    }
    if options.compress {
        options.config.compression = Some(options.compression);
    }
    Ok(options)
}

fn set(options: &mut Options, name: &str, value: String) -> Result<(), String> {
    let number = || {
        value
            .parse::<usize>()
            .map_err(|_| format!("--{name} needs a number"))
    };
    let millis = || number().map(|n| (n > 0).then(|| Duration::from_millis(n as u64)));
    let Config {
        limits,
        timeouts,
        keepalive,
        queue,
        ..
    } = &mut options.config;
    match name {
        "max-message" => limits.message = number()?,
        "max-frame" => limits.frame = Some(number()?),
        "max-fragments" => limits.fragments = number()?,
        "max-head" => limits.head = number()?,
        "open-timeout-ms" => timeouts.open = millis()?,
        "send-timeout-ms" => timeouts.send = millis()?,
        "close-timeout-ms" => timeouts.close = millis()?,
        "message-timeout-ms" => timeouts.message = millis()?,
        "ping-interval-ms" => keepalive.interval = millis()?,
        "ping-timeout-ms" => keepalive.timeout = millis()?,
        "max-connections" => options.limits.connections = Some(number()?),
        "origin" => options.origins.push(value),
        "queue-messages" => queue.messages = number()?,
        "queue-bytes" => queue.bytes = number()?,
        "window-bits" => {
            let bits = number()?.try_into().map_err(|_| "too many window bits")?;
            options.compression.server_max_window_bits = bits;
            options.compression.client_max_window_bits = bits;
        }
        "proxy" => options.proxy = Some(Proxy::parse(&value).map_err(text)?),
        "follow-redirects" => options.redirects = number()?,
        "pause-ms" => options.pause = millis()?.unwrap_or_default(),
        "subprotocol" => options.subprotocols.push(value),
        "header" => {
            let (name, value) = value
                .split_once(':')
                .ok_or("--header needs 'Name: value'")?;
            options
                .headers
                .push((name.trim().into(), value.trim().into()));
        }
        "ca" => {
            let tls = TlsConfig::client().add_root_certificate_pem(&read(&value)?);
            options.tls = Some(tls.map_err(text)?);
        }
        "mode" if value == "recv" => {}
        "mode" if value == "callback" => options.callback = true,
        "overflow" => queue.overflow = overflow(&value)?,
        "tls-backend" if value == "native-tls" => options.backend = TlsBackend::NativeTls,
        "tls-backend" if value == "rustls" => options.backend = TlsBackend::Rustls,
        _ => return Err(format!("--{name} {value}: there is no such setting")),
    }
    Ok(())
}

fn overflow(policy: &str) -> Result<Overflow, String> {
    Ok(match policy {
        "block" => Overflow::Block,
        "drop-oldest" => Overflow::DropOldest,
        "drop-newest" => Overflow::DropNewest,
        "keep-latest" => Overflow::KeepLatest,
        "close" => Overflow::Close(CloseCode::POLICY_VIOLATION),
        _ => return Err(format!("--overflow {policy}: there is no such policy")),
    })
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("{path}: {e}"))
}
