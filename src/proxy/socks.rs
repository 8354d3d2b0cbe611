//! SOCKS5 (RFC 1928, RFC 1929) and SOCKS4a. The proxy resolves names.

use super::{Negotiation, Progress};
use crate::credentials::Credentials;
use crate::error::ProxyError;
use std::net::IpAddr;

/// Names and passwords are as long as a byte tells.
const LONGEST: usize = 255;

const NO_CREDENTIALS: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;

/// A byte string behind its length.
fn prefixed(bytes: &[u8]) -> Result<Vec<u8>, ProxyError> {
    match bytes.len() {
        1..=LONGEST => Ok([&[bytes.len() as u8], bytes].concat()),
        _ => Err(ProxyError::Length),
    }
}

/// The next `n` bytes, which stay until all have come.
fn first(buffer: &mut Vec<u8>, n: usize) -> Option<Vec<u8>> {
    (buffer.len() >= n).then(|| buffer.drain(..n).collect())
}

#[derive(Debug)]
enum State {
    Method,
    Credentials,
    Reply,
    /// So many bytes of the reply's address and port are to come.
    Address(usize),
}

/// SOCKS5: a method, perhaps user name and password, then the request.
#[derive(Debug)]
pub(super) struct Socks5 {
    state: State,
    received: Vec<u8>,
    /// The message of RFC 1929.
    credentials: Option<Vec<u8>>,
    request: Vec<u8>,
}

impl Socks5 {
    pub(super) fn new(
        host: &str,
        port: u16,
        credentials: Option<&Credentials>,
    ) -> Result<Self, ProxyError> {
        let address = match host.parse() {
            Ok(IpAddr::V4(address)) => [&[1][..], &address.octets()].concat(),
            Ok(IpAddr::V6(address)) => [&[4][..], &address.octets()].concat(),
            Err(_) => [&[3][..], &prefixed(host.as_bytes())?].concat(),
        };
        let message = |c: &Credentials| -> Result<Vec<u8>, ProxyError> {
            Ok([&[1][..], &prefixed(c.user())?, &prefixed(c.password())?].concat())
        };
        Ok(Socks5 {
            state: State::Method,
            received: Vec::new(),
            credentials: credentials.map(message).transpose()?,
            request: [&[5, 1, 0][..], &address, &port.to_be_bytes()].concat(),
        })
    }

    fn step(&mut self) -> Result<Option<Progress>, ProxyError> {
        if !matches!(self.received.first(), None | Some(5))
            && !matches!(
                (&self.state, self.received.first()),
                (State::Credentials, Some(1))
            )
        {
            return Err(ProxyError::Malformed);
        }
        let (progress, next) = match self.state {
            State::Method => match first(&mut self.received, 2).as_deref() {
                None => return Ok(None),
                Some([5, NO_CREDENTIALS]) => (self.ask(), State::Reply),
                Some([5, USER_AND_PASSWORD]) => match self.credentials.take() {
                    Some(credentials) => (Progress::Send(credentials), State::Credentials),
                    None => return Err(ProxyError::Malformed),
                },
                Some([5, 0xff]) => return Err(ProxyError::Credentials),
                Some(_) => return Err(ProxyError::Malformed),
            },
            State::Credentials => match first(&mut self.received, 2).as_deref() {
                None => return Ok(None),
                // Some answer with the version of SOCKS.
                Some([1 | 5, 0]) => (self.ask(), State::Reply),
                Some([1 | 5, _]) => return Err(ProxyError::Credentials),
                Some(_) => return Err(ProxyError::Malformed),
            },
            State::Reply => match self.received.as_slice() {
                // A refusal may end there.
                [5, code @ 1..=255, ..] => return Err(ProxyError::Socks(*code)),
                [5, 0, 0, kind, length, ..] => {
                    let address = match kind {
                        1 => 4,
                        3 => 1 + usize::from(*length),
                        4 => 16,
                        _ => return Err(ProxyError::Malformed),
                    };
                    (Progress::More, State::Address(4 + address + 2))
                }
                [5, 0, 0, ..] | [5, 0] | [5] | [] => return Ok(None),
                _ => return Err(ProxyError::Malformed),
            },
            State::Address(length) => match self.received.len().cmp(&length) {
                std::cmp::Ordering::Less => return Ok(None),
                std::cmp::Ordering::Equal => return Ok(Some(Progress::Done)),
                // The server speaks after the client.
                std::cmp::Ordering::Greater => return Err(ProxyError::Malformed),
            },
        };
        self.state = next;
        Ok(Some(progress))
    }

    fn ask(&mut self) -> Progress {
        Progress::Send(std::mem::take(&mut self.request))
    }
}

impl Negotiation for Socks5 {
    fn begin(&mut self) -> Vec<u8> {
        match self.credentials {
            None => vec![5, 1, NO_CREDENTIALS],
            Some(_) => vec![5, 2, NO_CREDENTIALS, USER_AND_PASSWORD],
        }
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<Progress, ProxyError> {
        self.received.extend_from_slice(bytes);
        loop {
            match self.step()? {
                None => return Ok(Progress::More),
                Some(Progress::More) => {}
                Some(Progress::Send(_)) if !self.received.is_empty() => {
                    // It answers what was not asked yet.
                    return Err(ProxyError::Malformed);
                }
                Some(progress) => return Ok(progress),
            }
        }
    }
}

/// SOCKS4a: one request, one reply.
#[derive(Debug)]
pub(super) struct Socks4a {
    request: Vec<u8>,
    received: Vec<u8>,
}

impl Socks4a {
    pub(super) fn new(
        host: &str,
        port: u16,
        credentials: Option<&Credentials>,
    ) -> Result<Self, ProxyError> {
        let user = credentials.map_or(&[][..], Credentials::user);
        let (address, name) = match host.parse() {
            Ok(IpAddr::V4(address)) => (address.octets(), Vec::new()),
            // It knows no IPv6.
            Ok(IpAddr::V6(_)) => return Err(ProxyError::Length),
            // An address that is none says that a name follows.
            Err(_) => ([0, 0, 0, 1], [host.as_bytes(), &[0]].concat()),
        };
        if host.len() > LONGEST || user.len() > LONGEST {
            return Err(ProxyError::Length);
        }
        let port = port.to_be_bytes();
        Ok(Socks4a {
            request: [&[4, 1][..], &port, &address, user, &[0], &name].concat(),
            received: Vec::new(),
        })
    }
}

impl Negotiation for Socks4a {
    fn begin(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.request)
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<Progress, ProxyError> {
        self.received.extend_from_slice(bytes);
        match self.received.as_slice() {
            [] | [0] => Ok(Progress::More),
            [0, 90, rest @ ..] => match rest.len() {
                ..6 => Ok(Progress::More),
                6 => Ok(Progress::Done),
                _ => Err(ProxyError::Malformed),
            },
            [0, 92 | 93, ..] => Err(ProxyError::Credentials),
            [0, code @ 91..=255, ..] => Err(ProxyError::Socks(*code)),
            _ => Err(ProxyError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        Credentials::parse("user:pass").unwrap()
    }

    /// What the client says, given what the proxy says, byte by byte.
    fn talk(
        mut socks: impl Negotiation,
        answers: &[&[u8]],
    ) -> Result<(Vec<Vec<u8>>, Progress), ProxyError> {
        let mut said = vec![socks.begin()];
        let mut progress = Progress::More;
        for answer in answers {
            for byte in *answer {
                assert_eq!(progress, Progress::More);
                progress = socks.receive(&[*byte])?;
            }
            if let Progress::Send(bytes) = progress {
                said.push(bytes);
                progress = Progress::More;
            }
        }
        Ok((said, progress))
    }

    #[test]
    fn socks5_lets_the_proxy_resolve_a_name() {
        let socks = Socks5::new("example.org", 443, None).unwrap();
        let reply = b"\x05\0\0\x01\x7f\0\0\x01\x12\x34";
        let (said, progress) = talk(socks, &[b"\x05\0", reply]).unwrap();
        assert_eq!(progress, Progress::Done);
        assert_eq!(said[0], b"\x05\x01\0");
        assert_eq!(said[1], b"\x05\x01\0\x03\x0bexample.org\x01\xbb");
    }

    #[test]
    fn socks5_passes_addresses_as_such_and_takes_any_kind_in_the_reply() {
        let replies: [&[u8]; 3] = [
            b"\x05\0\0\x01\x7f\0\0\x01\0\0",
            b"\x05\0\0\x03\x02ab\0\0",
            b"\x05\0\0\x04aaaabbbbccccdddd\0\0",
        ];
        for reply in replies {
            let socks = Socks5::new("127.0.0.1", 80, None).unwrap();
            let (said, progress) = talk(socks, &[b"\x05\0", reply]).unwrap();
            assert_eq!(
                (progress, &said[1][..]),
                (Progress::Done, &b"\x05\x01\0\x01\x7f\0\0\x01\0\x50"[..])
            );
        }
        let socks = Socks5::new("::1", 80, None).unwrap();
        let (said, _) = talk(socks, &[b"\x05\0"]).unwrap();
        assert_eq!(
            said[1],
            b"\x05\x01\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\x50"
        );
    }

    #[test]
    fn socks5_gives_credentials_when_asked_for_them_and_not_before() {
        let socks = || Socks5::new("a", 1, Some(&credentials())).unwrap();
        let (said, _) = talk(socks(), &[b"\x05\x02", b"\x01\0"]).unwrap();
        let request = &b"\x05\x01\0\x03\x01a\0\x01"[..];
        assert_eq!(
            said,
            [&b"\x05\x02\0\x02"[..], b"\x01\x04user\x04pass", request]
        );
        let (said, _) = talk(socks(), &[b"\x05\0"]).unwrap();
        assert_eq!(said, [&b"\x05\x02\0\x02"[..], request]);
        assert_eq!(
            talk(socks(), &[b"\x05\x02", b"\x01\x01"]),
            Err(ProxyError::Credentials)
        );
        let without = Socks5::new("a", 1, None).unwrap();
        assert_eq!(talk(without, &[b"\x05\xff"]), Err(ProxyError::Credentials));
    }

    #[test]
    fn refusals_are_told_with_their_code() {
        for code in 1..=8 {
            let socks = Socks5::new("a", 1, None).unwrap();
            let reply = [5, code, 0, 1, 0, 0, 0, 0, 0, 0];
            assert_eq!(
                talk(socks, &[b"\x05\0", &reply]),
                Err(ProxyError::Socks(code))
            );
        }
        let socks = Socks4a::new("a", 1, None).unwrap();
        assert_eq!(talk(socks, &[&[0, 91]]), Err(ProxyError::Socks(91)));
        let socks = Socks4a::new("a", 1, None).unwrap();
        assert_eq!(talk(socks, &[&[0, 93]]), Err(ProxyError::Credentials));
    }

    #[test]
    fn socks4a_sends_a_name_behind_an_address_that_is_none() {
        let socks = Socks4a::new("example.org", 80, Some(&credentials())).unwrap();
        let (said, progress) = talk(socks, &[b"\0\x5a\0\0\0\0\0\0"]).unwrap();
        assert_eq!(progress, Progress::Done);
        assert_eq!(said, [b"\x04\x01\0\x50\0\0\0\x01user\0example.org\0"]);
        let mut socks = Socks4a::new("10.0.0.1", 80, None).unwrap();
        assert_eq!(socks.begin(), b"\x04\x01\0\x50\x0a\0\0\x01\0");
        assert_eq!(
            Socks4a::new("::1", 80, None).unwrap_err(),
            ProxyError::Length
        );
    }

    #[test]
    fn what_is_no_socks_is_refused_at_once() {
        let wrong: [&[&[u8]]; 6] = [
            &[b"H"],
            &[b"\x05\x01"],
            &[b"\x05\x02"],
            &[b"\x05\0", b"\x04"],
            &[b"\x05\0", b"\x05\0\x01"],
            &[b"\x05\0", b"\x05\0\0\x02a"],
        ];
        for answers in wrong {
            let socks = Socks5::new("a", 1, None).unwrap();
            assert_eq!(
                talk(socks, answers),
                Err(ProxyError::Malformed),
                "{answers:?}"
            );
        }
        let mut socks = Socks5::new("a", 1, None).unwrap();
        assert_eq!(socks.receive(b"\x05\0\x05"), Err(ProxyError::Malformed));
        let socks = Socks4a::new("a", 1, None).unwrap();
        assert_eq!(talk(socks, &[b"\x04"]), Err(ProxyError::Malformed));
    }

    #[test]
    fn what_does_not_fit_is_refused_before_anything_is_sent() {
        let long = "a".repeat(256);
        assert_eq!(Socks5::new(&long, 1, None).unwrap_err(), ProxyError::Length);
        assert_eq!(
            Socks4a::new(&long, 1, None).unwrap_err(),
            ProxyError::Length
        );
        let credentials = Credentials::new(vec![b'u'; 256], b"p".to_vec()).unwrap();
        assert_eq!(
            Socks5::new("a", 1, Some(&credentials)).unwrap_err(),
            ProxyError::Length
        );
    }
}
