//! Which sites' scripts may connect (RFC 6455 section 10.2).

use crate::error::Misuse;
use crate::handshake;
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderValue, Request};

/// From which sites a browser may connect. Any site can let its visitors' browsers connect to a server,
/// with their cookies; they tell of it in the Origin header (RFC 6454). Programs that are no browsers
/// need not send one, or send any: who sends none is let in.
///
/// # Examples
///
/// ```
/// use wsync::{OriginPolicy, Server};
///
/// let sites = OriginPolicy::Only(vec!["https://example.org".into()]);
/// let server = Server::builder().origins(sites).bind("127.0.0.1:0")?;
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OriginPolicy {
    /// From everywhere: the application looks at [`Upgrade::origin`](crate::Upgrade::origin), or tells who
    /// asks by something else than cookies.
    Any,
    /// From pages of this server: the host and the port are those of the Host header. The default.
    #[default]
    SameHost,
    /// From these: `scheme://host`, or `scheme://host:port`.
    Only(Vec<String>),
}

impl OriginPolicy {
    pub(super) fn check(&self) -> Result<(), Misuse> {
        match self {
            OriginPolicy::Only(sites) if sites.iter().any(|site| Site::parse(site).is_none()) => {
                Err(Misuse::Config("an origin that is not scheme://host:port"))
            }
            _ => Ok(()),
        }
    }

    /// Whether the request may be accepted.
    pub(super) fn allows(&self, request: &Request<()>) -> bool {
        let Some(origin) = handshake::origin(request) else {
            return true;
        };
        if *self == OriginPolicy::Any {
            return true;
        }
        let Some(site) = origin.to_str().ok().and_then(Site::parse) else {
            return false;
        };
        match self {
            OriginPolicy::Any => true,
            OriginPolicy::SameHost => request.headers().get(HOST).is_some_and(|h| site.is_at(h)),
            OriginPolicy::Only(sites) => sites
                .iter()
                .any(|allowed| Site::parse(allowed).as_ref() == Some(&site)),
        }
    }
}

/// An origin, in the form in which two of them are compared (RFC 6454 section 4).
#[derive(Debug, PartialEq, Eq)]
struct Site {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Site {
    /// `None` for `null` and for what is no origin.
    fn parse(origin: &str) -> Option<Self> {
        let (scheme, authority) = origin.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let authority: Authority = authority.parse().ok()?;
        if scheme.is_empty() || authority.as_str().contains('@') {
            return None;
        }
        let port = port(&authority).ok()?;
        Some(Site {
            host: authority.host().to_ascii_lowercase(),
            port: port.or(default_port(&scheme)),
            scheme,
        })
    }

    /// Whether the Host header names the same host and port.
    fn is_at(&self, host: &HeaderValue) -> bool {
        let authority = host.to_str().ok().and_then(|host| host.parse().ok());
        authority.is_some_and(|authority: Authority| {
            let same = authority.host().eq_ignore_ascii_case(&self.host);
            let port = port(&authority).map(|port| port.or(default_port(&self.scheme)));
            same && port == Ok(self.port)
        })
    }
}

/// An error for one that is no number.
fn port(authority: &Authority) -> Result<Option<u16>, ()> {
    let behind = authority.as_str().rsplit_once(':');
    match (authority.port_u16(), behind) {
        (Some(port), _) => Ok(Some(port)),
        (None, Some((_, text))) if !text.ends_with(']') => Err(()),
        (None, _) => Ok(None),
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(policy: &OriginPolicy, host: &str, origin: Option<&str>) -> bool {
        let mut request = Request::builder().header("Host", host);
        if let Some(origin) = origin {
            request = request.header("Origin", origin);
        }
        policy.allows(&request.body(()).unwrap())
    }

    #[test]
    fn a_page_of_the_same_host_and_port_may_connect_and_no_other() {
        let policy = OriginPolicy::SameHost;
        for (host, origin, allowed) in [
            ("example.org", "http://example.org", true),
            ("example.org", "https://example.org", true),
            ("example.org", "HTTPS://Example.ORG", true),
            ("example.org:443", "https://example.org", true),
            ("example.org", "https://example.org:443", true),
            ("example.org:9001", "http://example.org:9001", true),
            ("[::1]:9001", "http://[::1]:9001", true),
            ("[::1]", "http://[::1]", true),
            ("example.org:9001", "http://example.org", false),
            ("example.org", "http://example.org:9001", false),
            ("example.org:443", "http://example.org", false),
            ("example.org", "http://example.org.evil.com", false),
            ("example.org", "http://evil-example.org", false),
            ("example.org", "http://example.org@evil.com", false),
            ("example.org", "http://evil.com/example.org", false),
            ("example.org", "http://example.org:", false),
            ("example.org", "http://example.org:99999", false),
            ("example.org", "null", false),
            ("example.org", "", false),
            ("example.org", "example.org", false),
            ("example.org", "://example.org", false),
        ] {
            assert_eq!(
                allows(&policy, host, Some(origin)),
                allowed,
                "{origin} at {host}"
            );
        }
    }

    #[test]
    fn only_the_sites_of_the_list_may_connect() {
        let policy = OriginPolicy::Only(vec!["https://a.org".into(), "http://b.org:8080".into()]);
        policy.check().unwrap();
        for (origin, allowed) in [
            ("https://a.org", true),
            ("https://A.org:443", true),
            ("http://b.org:8080", true),
            ("http://a.org", false),
            ("https://b.org:8080", false),
            ("http://b.org", false),
            ("https://x.a.org", false),
            ("https://a.org.", false),
            ("null", false),
        ] {
            assert_eq!(allows(&policy, "c.org", Some(origin)), allowed, "{origin}");
        }
    }

    #[test]
    fn who_tells_no_origin_is_no_browser() {
        for policy in [
            OriginPolicy::Any,
            OriginPolicy::SameHost,
            OriginPolicy::Only(vec![]),
        ] {
            assert!(allows(&policy, "a.org", None));
        }
        assert!(allows(&OriginPolicy::Any, "a.org", Some("null")));
    }

    #[test]
    fn a_list_of_what_is_no_origin_is_a_misuse() {
        for site in [
            "example.org",
            "null",
            "https://",
            "https://a.org/path",
            "https://a@b.org",
        ] {
            let policy = OriginPolicy::Only(vec![site.into()]);
            assert!(matches!(policy.check(), Err(Misuse::Config(_))), "{site}");
        }
    }
}
