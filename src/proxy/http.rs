//! HTTP CONNECT (RFC 9110 section 9.3.6).

use super::{Negotiation, Progress};
use crate::credentials::Credentials;
use crate::error::ProxyError;
use crate::handshake::{HandshakeError, HeadReader, Start, parse_response};
use http::StatusCode;

/// The head of the answer, in bytes.
const HEAD_LIMIT: usize = 16 << 10;

/// Asks for a tunnel.
#[derive(Debug)]
pub(super) struct Connect {
    request: Vec<u8>,
    head: HeadReader,
}

impl Connect {
    /// `authority` is host and port, as in a URI.
    pub(super) fn new(authority: &str, credentials: Option<&Credentials>) -> Self {
        let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
        if let Some(Ok(value)) = credentials.map(|c| c.basic().to_str().map(str::to_owned)) {
            request.push_str(&format!("Proxy-Authorization: {value}\r\n"));
        }
        request.push_str("\r\n");
        Connect {
            request: request.into_bytes(),
            head: new_head(),
        }
    }
}

fn new_head() -> HeadReader {
    HeadReader::new(Start::Response, HEAD_LIMIT)
}

impl Negotiation for Connect {
    fn begin(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.request)
    }

    fn receive(&mut self, mut bytes: &[u8]) -> Result<Progress, ProxyError> {
        let malformed = |_: HandshakeError| ProxyError::Malformed;
        while let Some((head, rest)) = self.head.receive(bytes).map_err(malformed)? {
            let status = parse_response(&head.into()).map_err(malformed)?.status();
            match status {
                _ if status.is_informational() => (self.head, bytes) = (new_head(), rest),
                _ if !status.is_success() => return Err(refusal(status)),
                // The server speaks after the client.
                _ if !rest.is_empty() => return Err(ProxyError::Malformed),
                _ => return Ok(Progress::Done),
            }
        }
        Ok(Progress::More)
    }
}

fn refusal(status: StatusCode) -> ProxyError {
    match status {
        // tinyproxy says 401.
        StatusCode::PROXY_AUTHENTICATION_REQUIRED | StatusCode::UNAUTHORIZED => {
            ProxyError::Credentials
        }
        status => ProxyError::Status(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(bytes: &[u8], cut: usize) -> Result<Progress, ProxyError> {
        let mut connect = Connect::new("example.org:80", None);
        connect.begin();
        let (first, second) = bytes.split_at(cut.min(bytes.len()));
        match connect.receive(first)? {
            Progress::More => connect.receive(second),
            progress => Ok(progress),
        }
    }

    #[test]
    fn the_request_names_the_target_twice_and_has_the_credentials() {
        let request = Connect::new("[::1]:8080", None).begin();
        assert_eq!(
            request,
            b"CONNECT [::1]:8080 HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"
        );
        let credentials = Credentials::parse("Aladdin:open%20sesame").unwrap();
        let request = Connect::new("a:1", Some(&credentials)).begin();
        assert_eq!(
            String::from_utf8(request).unwrap(),
            "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\
             Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"
        );
    }

    #[test]
    fn any_2xx_opens_the_tunnel_in_any_cuts() {
        let answers: [&[u8]; 3] = [
            b"HTTP/1.0 200 OK\r\n\r\n",
            b"HTTP/1.1 299 \r\nContent-Length: 5\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n",
        ];
        for bytes in answers {
            for cut in 0..bytes.len() {
                assert_eq!(answer(bytes, cut).unwrap(), Progress::Done);
                assert_eq!(answer(&bytes[..cut], cut).unwrap(), Progress::More);
            }
        }
    }

    #[test]
    fn a_refusal_is_told_with_its_status() {
        let refused = |head: &str| answer(head.as_bytes(), 9).unwrap_err();
        let bad_gateway = refused("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\nno");
        assert_eq!(bad_gateway, ProxyError::Status(StatusCode::BAD_GATEWAY));
        let unknown = refused("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
        assert_eq!(unknown, ProxyError::Credentials);
    }

    #[test]
    fn what_is_no_http_or_comes_behind_the_answer_is_refused() {
        let wrong: [&[u8]; 4] = [
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101 ",
            b"HTTP/1.1 200 OK\nx\n\n",
        ];
        for bytes in wrong {
            for cut in 0..=bytes.len() {
                let progress = answer(bytes, cut);
                let early = progress == Ok(Progress::Done) && bytes.ends_with(b"101 ");
                assert!(
                    early || progress == Err(ProxyError::Malformed),
                    "{cut}: {progress:?}"
                );
            }
        }
        let endless = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; HEAD_LIMIT]].concat();
        assert_eq!(answer(&endless, 9), Err(ProxyError::Malformed));
    }
}
