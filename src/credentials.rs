//! User names and passwords (RFC 3986 section 3.2.1, RFC 7617).

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
        if user_info.contains('@') {
            return Err(UriError::UserInfo);
        }
        Credentials::new(percent_decode(user)?, percent_decode(password)?)
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
