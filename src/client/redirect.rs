//! Redirects of the opening handshake (RFC 6455 section 4.1, RFC 9110 section 15.4).

use crate::error::Error;
use crate::uri::Target;
use http::header::{AUTHORIZATION, COOKIE, LOCATION, PROXY_AUTHORIZATION};
use http::{HeaderMap, StatusCode};

/// Where the server says to go instead, and with which headers; the error if that is nowhere, or less
/// secure.
pub(super) fn follow(
    from: &Target,
    error: Error,
    headers: &mut HeaderMap,
) -> Result<Target, Error> {
    let Some(to) = location(from, &error) else {
        return Err(error);
    };
    if from.is_secure() && !to.is_secure() {
        log::debug!("a redirect from wss to ws is not followed");
        return Err(error);
    }
    log::debug!("redirected to {}:{}", to.host(), to.port());
    if !from.is_same_origin(&to) {
        for secret in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
            headers.remove(secret);
        }
    }
    Ok(to)
}

fn location(from: &Target, error: &Error) -> Option<Target> {
    let response = error.response()?;
    let redirects = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = response.headers().get(LOCATION).filter(|_| redirects)?;
    from.join(location.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::HandshakeError;

    fn redirect(status: u16, location: &str) -> Error {
        let response = http::Response::builder().status(status);
        let response = response.header(LOCATION, location).body(Vec::new());
        Error::from(HandshakeError::Status(Box::new(response.unwrap())))
    }

    fn secrets() -> HeaderMap {
        let mut headers = HeaderMap::new();
        for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
            headers.insert(name, "secret".parse().unwrap());
        }
        headers.insert("x-other", "kept".parse().unwrap());
        headers
    }

    fn followed(from: &str, error: Error) -> Result<(String, HeaderMap), Error> {
        let mut headers = secrets();
        let to = follow(&Target::parse(from).unwrap(), error, &mut headers)?;
        let scheme = if to.is_secure() { "wss" } else { "ws" };
        Ok((
            format!("{scheme}://{}{}", to.host_header(), to.resource_name()),
            headers,
        ))
    }

    #[test]
    fn references_are_resolved() {
        let from = "ws://example.org:81/a/b?c";
        for (location, to) in [
            ("ws://other.org/x?y", "ws://other.org/x?y"),
            ("wss://other.org", "wss://other.org/"),
            ("http://other.org:82/x", "ws://other.org:82/x"),
            ("https://other.org/x#part", "wss://other.org/x"),
            ("//other.org/x", "ws://other.org/x"),
            ("/x", "ws://example.org:81/x"),
            ("x", "ws://example.org:81/a/x"),
            ("../x/./y", "ws://example.org:81/x/y"),
            ("../../../x", "ws://example.org:81/x"),
            ("?x", "ws://example.org:81/a/b?x"),
        ] {
            for status in [301, 302, 303, 307, 308] {
                let (found, _) = followed(from, redirect(status, location)).unwrap();
                assert_eq!(found, to, "{location}");
            }
        }
    }

    #[test]
    fn another_origin_gets_no_secrets() {
        for (location, kept) in [
            ("/x", true),
            ("ws://example.org:80/x", true),
            ("ws://EXAMPLE.org/x", true),
            ("ws://example.org:81/x", false),
            ("wss://example.org/x", false),
            ("ws://sub.example.org/x", false),
        ] {
            let (_, headers) = followed("ws://example.org/", redirect(302, location)).unwrap();
            assert_eq!(headers.len(), if kept { 4 } else { 1 }, "{location}");
            assert!(headers.contains_key("x-other"));
        }
    }

    #[test]
    fn credentials_of_the_address_stay_with_its_origin() {
        let from = Target::parse("ws://user:password@example.org/").unwrap();
        let to = |location| follow(&from, redirect(302, location), &mut HeaderMap::new());
        assert_eq!(to("/x").unwrap().authorization(), from.authorization());
        assert_eq!(to("ws://other.org/x").unwrap().authorization(), None);
    }

    #[test]
    fn what_is_no_redirect_or_less_secure_is_the_error_it_was() {
        for (from, error) in [
            ("wss://example.org/", redirect(302, "ws://example.org/")),
            ("wss://example.org/", redirect(302, "http://example.org/")),
            ("ws://example.org/", redirect(302, "ftp://example.org/")),
            ("ws://example.org/", redirect(302, "ws://")),
            ("ws://example.org/", redirect(304, "/x")),
            ("ws://example.org/", redirect(404, "/x")),
            ("ws://example.org/", Error::eof()),
        ] {
            let kind = error.kind();
            assert_eq!(followed(from, error).unwrap_err().kind(), kind);
        }
    }
}
