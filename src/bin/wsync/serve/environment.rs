//! What a program is told of its client, as CGI has it (RFC 3875 section 4.1).

use http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN, PROXY_AUTHORIZATION};
use http::{HeaderMap, Request};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process::Command;
use wsync::WebSocket;

/// Those that are not there for every client. What this process has by these names is about something else.
const SOMETIMES: [&str; 8] = [
    "AUTH_TYPE",
    "HTTPS",
    "ORIGIN",
    "REMOTE_ADDR",
    "REMOTE_PORT",
    "REMOTE_USER",
    "SERVER_PORT",
    "SUBPROTOCOL",
];

/// Headers that programs do not get: credentials, and `Proxy`, since HTTP_PROXY means something else to them.
const KEPT: [HeaderName; 3] = [
    AUTHORIZATION,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy"),
];

#[derive(Debug, Default)]
pub(super) struct Environment(BTreeMap<String, OsString>);

impl Environment {
    pub(super) fn of(ws: &WebSocket, tls: bool, user: Option<&str>) -> Self {
        let mut environment = Environment::default();
        environment.set("GATEWAY_INTERFACE", "CGI/1.1");
        environment.set("SERVER_PROTOCOL", "HTTP/1.1");
        environment.set(
            "SERVER_SOFTWARE",
            concat!("wsync/", env!("CARGO_PKG_VERSION")),
        );
        environment.set("SCRIPT_NAME", "");
        environment.request(ws.request());
        if let Some(peer) = ws.peer_addr() {
            environment.set("REMOTE_ADDR", peer.ip().to_string());
            environment.set("REMOTE_PORT", peer.port().to_string());
        }
        if let Some(local) = ws.local_addr() {
            environment.set("SERVER_PORT", local.port().to_string());
        }
        if tls {
            environment.set("HTTPS", "on");
        }
        if let Some(user) = user {
            environment.set("AUTH_TYPE", "Basic");
            environment.set("REMOTE_USER", user);
        }
        if let Some(subprotocol) = ws.subprotocol() {
            environment.set("SUBPROTOCOL", subprotocol);
        }
        environment
    }

    pub(super) fn apply(self, command: &mut Command) {
        for name in SOMETIMES {
            command.env_remove(name);
        }
        command.envs(self.0);
    }

    fn request(&mut self, request: &Request<()>) {
        let uri = request.uri();
        self.set("REQUEST_METHOD", request.method().as_str());
        self.set("REQUEST_URI", uri.to_string());
        self.set("PATH_INFO", decoded(uri.path()));
        self.set("QUERY_STRING", uri.query().unwrap_or_default());
        let host = request
            .headers()
            .get(HOST)
            .and_then(|host| host.to_str().ok());
        let host = host.and_then(|host| host.parse::<http::uri::Authority>().ok());
        self.set("SERVER_NAME", host.as_ref().map_or("", |host| host.host()));
        if let Some(origin) = request.headers().get(ORIGIN) {
            self.set("ORIGIN", OsString::from_vec(origin.as_bytes().to_vec()));
        }
        self.headers(request.headers());
    }

    fn headers(&mut self, headers: &HeaderMap) {
        for name in headers.keys() {
            // `a-b` and `a_b` would have the same name.
            if KEPT.contains(name)
                || !name
                    .as_str()
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            {
                continue;
            }
            let values: Vec<_> = headers.get_all(name).iter().map(|v| v.as_bytes()).collect();
            let separator: &[u8] = if name == http::header::COOKIE {
                b"; "
            } else {
                b", "
            };
            let variable = name.as_str().to_ascii_uppercase().replace('-', "_");
            self.set(
                &format!("HTTP_{variable}"),
                OsString::from_vec(values.join(separator)),
            );
        }
    }

    fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.0.insert(name.to_owned(), value.into());
    }
}

/// A path whose `%2F` and the like stand for what they mean; one that would have a NUL stays as it is.
fn decoded(path: &str) -> OsString {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let (byte, after) = match rest {
            [b'%', high, low, after @ ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (*first, tail),
            },
            _ => (*first, tail),
        };
        bytes.push(byte);
        rest = after;
    }
    match bytes.contains(&0) {
        true => path.into(),
        false => OsString::from_vec(bytes),
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}
