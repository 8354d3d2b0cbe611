//! User names and passwords (RFC 3986 section 3.2.1, RFC 7617).

#[cfg(feature = "digest")]
pub(crate) mod digest;

use crate::error::UriError;
use data_encoding::BASE64;
use http::HeaderValue;
use std::fmt;

/// A user name and a password. `Debug` does not show them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    user: Vec<u8>,
    password: Vec<u8>,
}

impl Credentials {
    /// No colon in the user name, no control characters in either (RFC 7617 section 2). One of the two may
    /// be empty: tokens are given as either of them.
    pub(crate) fn new(user: Vec<u8>, password: Vec<u8>) -> Result<Self, UriError> {
        let nothing = user.is_empty() && password.is_empty();
        let control = user.iter().chain(&password).any(u8::is_ascii_control);
        match nothing || control || user.contains(&b':') {
            true => Err(UriError::UserInfo),
            false => Ok(Credentials { user, password }),
        }
    }

    /// What stands before the `@` of a URI.
    pub(crate) fn parse(user_info: &str) -> Result<Self, UriError> {
        let (user, password) = user_info.split_once(':').ok_or(UriError::UserInfo)?;
        if user_info.contains('@') || !user_info.is_ascii() {
            return Err(UriError::UserInfo);
        }
        Credentials::new(percent_decode(user)?, percent_decode(password)?)
    }

    /// The value of an Authorization header of this scheme.
    pub(crate) fn from_basic(value: &[u8]) -> Option<Self> {
        let (scheme, encoded) = value.split_at_checked(6)?;
        if !scheme.eq_ignore_ascii_case(b"Basic ") {
            return None;
        }
        let decoded = BASE64.decode(encoded.trim_ascii()).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        let (user, password) = decoded.split_at(colon);
        Some(Credentials {
            user: user.to_vec(),
            password: password[1..].to_vec(),
        })
    }

    pub(crate) fn user(&self) -> &[u8] {
        &self.user
    }

    pub(crate) fn password(&self) -> &[u8] {
        &self.password
    }

    /// The value of an Authorization header, marked as sensitive so that `Debug` does not show it.
    pub(crate) fn basic(&self) -> HeaderValue {
        let credentials = BASE64.encode(&[&self.user[..], b":", &self.password[..]].concat());
        // Base64 is what a header may have.
        let mut value = HeaderValue::try_from(format!("Basic {credentials}"))
            .unwrap_or(HeaderValue::from_static(""));
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

pub(crate) fn percent_decode(text: &str) -> Result<Vec<u8>, UriError> {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let byte = part
            .get(..2)
            .and_then(parse_hex)
            .ok_or(UriError::UserInfo)?;
        decoded.push(byte);
        decoded.extend(part.bytes().skip(2));
    }
    Ok(decoded)
}

fn parse_hex(digits: &str) -> Option<u8> {
    // `from_str_radix` would take a sign.
    let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
    u8::from_str_radix(digits, 16).ok().filter(|_| hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_is_received() {
        for info in [
            "user:password",
            "user:",
            ":token",
            "a:b%3ac",
            "%c3%bc:%c3%a4",
        ] {
            let credentials = Credentials::parse(info).unwrap();
            let received = Credentials::from_basic(credentials.basic().as_bytes());
            assert_eq!(received, Some(credentials), "{info}");
        }
        let lower = Credentials::from_basic(b"basic  dXNlcjpwYXNz").unwrap();
        assert_eq!(
            (lower.user(), lower.password()),
            (&b"user"[..], &b"pass"[..])
        );
    }

    #[test]
    fn what_is_no_basic_credentials_is_none() {
        for value in [
            "",
            "Basic",
            "Basic ",
            "Basic !",
            "Bearer dXNlcjpwYXNz",
            "Basic dXNlcg==",
        ] {
            assert_eq!(Credentials::from_basic(value.as_bytes()), None, "{value}");
        }
    }
}
