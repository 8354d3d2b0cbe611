//! Addresses of WebSocket servers (RFC 6455 section 3).

use crate::credentials::{Credentials, percent_decode};
use crate::error::UriError;
use http::HeaderValue;
use http::uri::PathAndQuery;
use std::net::Ipv6Addr;

/// A parsed `ws://`, `wss://` or `ws+unix:` address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    secure: bool,
    /// In lower case, without brackets.
    host: String,
    port: u16,
    /// Of a Unix socket.
    path: Option<String>,
    resource: PathAndQuery,
    credentials: Option<Credentials>,
}

impl Target {
    /// # Errors
    ///
    /// Every [`UriError`] but [`UriError::TlsUnavailable`].
    pub(crate) fn parse(address: &str) -> Result<Self, UriError> {
        // Nothing that could end a line or a word of the request may get through.
        if address
            .bytes()
            .any(|b| b.is_ascii() && !b.is_ascii_graphic())
        {
            return Err(UriError::Syntax);
        }
        let (scheme, rest) = address.split_once(':').ok_or(UriError::Syntax)?;
        if scheme.eq_ignore_ascii_case("ws+unix") {
            check_ascii(rest)?;
            return Target::of_unix_socket(rest);
        }
        let secure = parse_scheme(scheme)?;
        let rest = rest.strip_prefix("//").ok_or(UriError::Syntax)?;
        if rest.contains('#') {
            return Err(UriError::Fragment);
        }
        let (authority, resource) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (credentials, host_and_port) = match authority.rsplit_once('@') {
            Some((user_info, rest)) => (Some(Credentials::parse(user_info)?), rest),
            None => (None, authority),
        };
        check_ascii(resource)?;
        let (host, port) = parse_host_and_port(host_and_port)?;
        Ok(Target {
            secure,
            host,
            port: port.unwrap_or(default_port(secure)),
            path: None,
            resource: parse_resource(resource)?,
            credentials,
        })
    }

    /// `/run/app.sock`, and behind a colon the resource.
    fn of_unix_socket(rest: &str) -> Result<Self, UriError> {
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        if rest.contains('#') {
            return Err(UriError::Fragment);
        }
        let (path, resource) = rest.split_once(':').unwrap_or((rest, "/"));
        let path = percent_decode(path).map_err(|_| UriError::Syntax)?;
        let path = String::from_utf8(path).map_err(|_| UriError::Syntax)?;
        if !path.starts_with('/') || path.contains('\0') {
            return Err(UriError::Host);
        }
        Ok(Target {
            secure: false,
            host: "localhost".into(),
            port: default_port(false),
            path: Some(path),
            resource: parse_resource(resource)?,
            credentials: None,
        })
    }

    /// Where a reference leads that the server gave (RFC 3986 section 5.2). HTTP's schemes stand for those
    /// of WebSockets.
    pub(crate) fn join(&self, reference: &str) -> Result<Self, UriError> {
        // What is behind it is for whoever shows a page.
        let reference = reference.split('#').next().unwrap_or_default();
        if !reference.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(UriError::Syntax);
        }
        if let Some((scheme, rest)) = scheme_of(reference) {
            let scheme = match scheme.to_ascii_lowercase().as_str() {
                "http" | "ws" => "ws",
                "https" | "wss" => "wss",
                _ => return Err(UriError::Scheme),
            };
            return Target::parse(&format!("{scheme}:{rest}"));
        }
        if reference.starts_with("//") {
            let scheme = if self.secure { "wss" } else { "ws" };
            return Target::parse(&format!("{scheme}:{reference}"));
        }
        let (path, query) = match reference.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (reference, None),
        };
        let base = self.resource.path();
        let path = match path.as_bytes().first() {
            None => base.to_owned(),
            Some(b'/') => without_dots(path),
            Some(_) => {
                let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
                without_dots(&format!("{folder}/{path}"))
            }
        };
        let query = query.or(self.resource.query().filter(|_| reference.is_empty()));
        let resource = query.map_or(path.clone(), |query| format!("{path}?{query}"));
        Ok(Target {
            resource: parse_resource(&resource)?,
            ..self.clone()
        })
    }

    /// Scheme, host and port are the same (RFC 6454 section 5).
    pub(crate) fn is_same_origin(&self, other: &Target) -> bool {
        (self.secure, &self.host, self.port, &self.path)
            == (other.secure, &other.host, other.port, &other.path)
    }

    /// The Unix socket that leads there.
    pub(crate) fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// Whether the scheme is `wss`.
    pub(crate) fn is_secure(&self) -> bool {
        self.secure
    }

    /// The name or address to resolve and to ask TLS for, without brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The value of the Host header (RFC 6455 section 4.1, item 4).
    pub(crate) fn host_header(&self) -> String {
        let mut value = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        if self.port != default_port(self.secure) {
            value.push_str(&format!(":{}", self.port));
        }
        value
    }

    /// The path and the query (RFC 6455 section 3, `resource-name`).
    pub(crate) fn resource_name(&self) -> &str {
        self.resource.as_str()
    }

    /// The user information as the value of an Authorization header (RFC 7617).
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        self.credentials.as_ref().map(Credentials::basic)
    }
}

/// The scheme of a reference that has one, and what follows the colon.
fn scheme_of(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let is_scheme = !scheme.contains(['/', '?']) && !scheme.is_empty();
    is_scheme.then_some((scheme, rest))
}

/// RFC 3986 section 5.2.4, of a path that begins with a slash.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => {
                kept.push(segment);
                continue;
            }
        }
        if last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

fn parse_scheme(scheme: &str) -> Result<bool, UriError> {
    match scheme.to_ascii_lowercase().as_str() {
        "ws" => Ok(false),
        "wss" => Ok(true),
        _ => Err(UriError::Scheme),
    }
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

pub(crate) fn parse_host_and_port(text: &str) -> Result<(String, Option<u16>), UriError> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(UriError::Syntax)?;
            host.parse::<Ipv6Addr>().map_err(|_| UriError::Syntax)?;
            (host, port)
        }
        None => {
            let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            if !host.is_ascii() {
                let host = idna_to_ascii(host)?;
                check_name(&host).map_err(|_| UriError::Idna)?;
                return Ok((host, parse_port(port)?));
            }
            check_name(host)?;
            (host, port)
        }
    };
    Ok((host.to_ascii_lowercase(), parse_port(port)?))
}

/// UTS 46, as browsers do it: not transitional, in lower case.
#[cfg(feature = "url")]
fn idna_to_ascii(host: &str) -> Result<String, UriError> {
    use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

    let length = DnsLength::VerifyAllowRootDot;
    let ascii = Uts46::new().to_ascii(host.as_bytes(), AsciiDenyList::URL, Hyphens::Allow, length);
    ascii.map(String::from).map_err(|_| UriError::Idna)
}

#[cfg(not(feature = "url"))]
fn idna_to_ascii(_: &str) -> Result<String, UriError> {
    Err(UriError::IdnaUnavailable)
}

fn check_ascii(text: &str) -> Result<(), UriError> {
    match text.is_ascii() {
        true => Ok(()),
        false => Err(UriError::Syntax),
    }
}

/// A name as DNS and `/etc/hosts` know them, or an IPv4 address. RFC 3986 allows more that no
/// resolver takes, and that would have to be escaped in the Host header.
fn check_name(host: &str) -> Result<(), UriError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    match host {
        "" => Err(UriError::Host),
        _ if host.bytes().all(allowed) => Ok(()),
        _ => Err(UriError::Syntax),
    }
}

/// `text` is empty or begins with the colon. An empty port is the default one (RFC 3986 section
/// 3.2.3).
fn parse_port(text: &str) -> Result<Option<u16>, UriError> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.strip_prefix(':').ok_or(UriError::Syntax)?;
    if digits.is_empty() {
        return Ok(None);
    }
    // `parse` would take a sign.
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(UriError::Port);
    }
    digits.parse().map(Some).map_err(|_| UriError::Port)
}

fn parse_resource(text: &str) -> Result<PathAndQuery, UriError> {
    let resource = match text.starts_with('/') {
        true => text.to_owned(),
        false => format!("/{text}"),
    };
    PathAndQuery::try_from(resource).map_err(|_| UriError::Syntax)
}

#[cfg(test)]
mod tests;
