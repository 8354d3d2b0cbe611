//! `Sec-WebSocket-Extensions` (RFC 6455 section 9.1), and permessage-deflate in it (RFC 7692 section
//! 7.1).

use super::{HandshakeError, is_token, is_token_byte};
use crate::compression::{Compression, DeflateParams, MAX_WINDOW_BITS, WINDOW_BITS};
use http::header::SEC_WEBSOCKET_EXTENSIONS;
use http::{HeaderMap, HeaderValue};

const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// An element of the header: a name and its parameters.
#[derive(Debug, PartialEq, Eq)]
struct Extension<'h> {
    name: &'h str,
    params: Vec<Param<'h>>,
}

type Param<'h> = (&'h str, Option<String>);

/// The header as it is offered by a client.
pub(super) fn offer(compression: &Compression) -> HeaderValue {
    let mut offer = Terms {
        server_no_context_takeover: compression.server_no_context_takeover,
        client_no_context_takeover: compression.client_no_context_takeover,
        ..Terms::default()
    };
    offer.server_max_window_bits = bounded(compression.server_max_window_bits);
    offer.client_max_window_bits = Some(bounded(compression.client_max_window_bits));
    offer.render()
}

/// What the server's response says to [`offer`].
///
/// # Errors
///
/// [`HandshakeError::Extension`] for whatever was not offered or is not as RFC 7692 section 7.1 asks
/// for.
pub(super) fn judge_response(
    headers: &HeaderMap,
    offered: Option<&Compression>,
) -> Result<Option<DeflateParams>, HandshakeError> {
    let extensions = parse(headers).ok_or(HandshakeError::Extension)?;
    match (extensions.as_slice(), offered) {
        ([], _) => Ok(None),
        ([extension], Some(offered)) if extension.name == NAME => {
            let agreed = Terms::parse(&extension.params).and_then(|terms| terms.answer(offered));
            agreed.map(Some).ok_or(HandshakeError::Extension)
        }
        _ => Err(HandshakeError::Extension),
    }
}

/// Whether the header of a request keeps to the grammar.
pub(super) fn check_request(headers: &HeaderMap) -> Result<(), HandshakeError> {
    match parse(headers) {
        Some(_) => Ok(()),
        None => Err(HandshakeError::InvalidHeader("Sec-WebSocket-Extensions")),
    }
}

/// Agrees to the first offer that can be agreed to, and with which header. Offers that RFC 7692
/// section 7.1 does not allow are declined.
pub(crate) fn agree(
    headers: &HeaderMap,
    ours: &Compression,
) -> Option<(DeflateParams, HeaderValue)> {
    let extensions = parse(headers)?;
    let mut offers = extensions
        .iter()
        .filter(|extension| extension.name == NAME)
        .filter_map(|extension| Terms::parse(&extension.params));
    offers.next().map(|offer| offer.agree(ours))
}

/// The parameters of an offer or a response (RFC 7692 section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Terms {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// May be there without a value, in an offer.
    client_max_window_bits: Option<Option<u8>>,
}

impl Terms {
    /// `None` for one that is unknown, there twice, or with a value that it must not have.
    fn parse(params: &[Param<'_>]) -> Option<Self> {
        let mut terms = Terms::default();
        for (name, value) in params {
            let twice = match (*name, value) {
                (SERVER_NO_CONTEXT_TAKEOVER, None) => {
                    std::mem::replace(&mut terms.server_no_context_takeover, true)
                }
                (CLIENT_NO_CONTEXT_TAKEOVER, None) => {
                    std::mem::replace(&mut terms.client_no_context_takeover, true)
                }
                (SERVER_MAX_WINDOW_BITS, Some(bits)) => terms
                    .server_max_window_bits
                    .replace(window_bits(bits)?)
                    .is_some(),
                (CLIENT_MAX_WINDOW_BITS, bits) => {
                    let bits = match bits {
                        Some(bits) => Some(window_bits(bits)?),
                        None => None,
                    };
                    terms.client_max_window_bits.replace(bits).is_some()
                }
                _ => return None,
            };
            if twice {
                return None;
            }
        }
        Some(terms)
    }

    /// What a server agrees on when this is offered.
    fn agree(&self, ours: &Compression) -> (DeflateParams, HeaderValue) {
        let server_bits = self.server_max_window_bits.unwrap_or(MAX_WINDOW_BITS);
        let agreed = DeflateParams {
            server_max_window_bits: server_bits.min(ours.server_max_window_bits),
            // A client that does not offer to keep to a bound cannot be asked to.
            client_max_window_bits: match self.client_max_window_bits {
                None => MAX_WINDOW_BITS,
                Some(bits) => bits
                    .unwrap_or(MAX_WINDOW_BITS)
                    .min(ours.client_max_window_bits),
            },
            server_no_context_takeover: self.server_no_context_takeover
                || ours.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover
                || ours.client_no_context_takeover,
        };
        let response = Terms {
            server_no_context_takeover: agreed.server_no_context_takeover,
            client_no_context_takeover: agreed.client_no_context_takeover,
            // Where it was offered, the answer is part of agreeing (section 7.1.2.1).
            server_max_window_bits: match self.server_max_window_bits {
                Some(_) => Some(agreed.server_max_window_bits),
                None => bounded(agreed.server_max_window_bits),
            },
            client_max_window_bits: bounded(agreed.client_max_window_bits).map(Some),
        };
        (agreed, response.render())
    }

    /// What is agreed on when a server answers this to what a client `offered`; `None` if it does not
    /// agree with that.
    fn answer(&self, offered: &Compression) -> Option<DeflateParams> {
        let server_bits = self.server_max_window_bits.unwrap_or(MAX_WINDOW_BITS);
        let client_bits = match self.client_max_window_bits {
            None => offered.client_max_window_bits,
            // Without a value it only is an offer.
            Some(bits) => bits?,
        };
        let kept = server_bits <= offered.server_max_window_bits
            && client_bits <= offered.client_max_window_bits
            && (self.server_no_context_takeover || !offered.server_no_context_takeover);
        kept.then_some(DeflateParams {
            server_max_window_bits: server_bits,
            client_max_window_bits: client_bits,
            server_no_context_takeover: self.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover
                || offered.client_no_context_takeover,
        })
    }

    fn render(&self) -> HeaderValue {
        let mut text = NAME.to_owned();
        let mut add = |name, bits: Option<u8>| {
            text.push_str("; ");
            text.push_str(name);
            if let Some(bits) = bits {
                text.push_str(&format!("={bits}"));
            }
        };
        if self.server_no_context_takeover {
            add(SERVER_NO_CONTEXT_TAKEOVER, None);
        }
        if self.client_no_context_takeover {
            add(CLIENT_NO_CONTEXT_TAKEOVER, None);
        }
        if let Some(bits) = self.server_max_window_bits {
            add(SERVER_MAX_WINDOW_BITS, Some(bits));
        }
        if let Some(bits) = self.client_max_window_bits {
            add(CLIENT_MAX_WINDOW_BITS, bits);
        }
        // Of tokens only.
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(NAME))
    }
}

/// Window bits that say more than their absence.
fn bounded(bits: u8) -> Option<u8> {
    (bits < MAX_WINDOW_BITS).then_some(bits)
}

/// A decimal number from 8 to 15 without leading zeros (section 7.1.2).
fn window_bits(text: &str) -> Option<u8> {
    let bits = text
        .parse()
        .ok()
        .filter(|bits| WINDOW_BITS.contains(bits))?;
    (bits.to_string() == text).then_some(bits)
}

/// All lines of the header as one list; `None` if it is not as RFC 6455 section 9.1 has it.
fn parse(headers: &HeaderMap) -> Option<Vec<Extension<'_>>> {
    let mut extensions = Vec::new();
    for line in headers.get_all(SEC_WEBSOCKET_EXTENSIONS) {
        let mut cursor = Cursor(line.to_str().ok()?.trim_start_matches([' ', '\t']));
        while !cursor.0.is_empty() {
            // Empty elements are skipped (RFC 9110 section 5.6.1).
            if cursor.eat(',') {
                continue;
            }
            extensions.push(cursor.extension()?);
            if !cursor.0.is_empty() && !cursor.eat(',') {
                return None;
            }
        }
    }
    Some(extensions)
}

/// What is left of a line. It never begins with a space.
struct Cursor<'h>(&'h str);

impl<'h> Cursor<'h> {
    fn extension(&mut self) -> Option<Extension<'h>> {
        let name = self.token()?;
        let mut params = Vec::new();
        while self.eat(';') {
            let name = self.token()?;
            let value = match self.eat('=') {
                true => Some(self.value()?),
                false => None,
            };
            params.push((name, value));
        }
        Some(Extension { name, params })
    }

    fn value(&mut self) -> Option<String> {
        match self.0.strip_prefix('"') {
            None => self.token().map(str::to_owned),
            Some(rest) => {
                self.0 = rest;
                self.quoted()
            }
        }
    }

    /// The rest of a quoted string, which has to be a token without its quotes and backslashes.
    fn quoted(&mut self) -> Option<String> {
        let mut value = String::new();
        let mut chars = self.0.char_indices();
        loop {
            match chars.next()? {
                (end, '"') => {
                    self.advance(end + 1);
                    return is_token(&value).then_some(value);
                }
                (_, '\\') => value.push(chars.next()?.1),
                (_, other) => value.push(other),
            }
        }
    }

    fn token(&mut self) -> Option<&'h str> {
        let end = self.0.bytes().position(|byte| !is_token_byte(byte));
        let (token, _) = self.0.split_at_checked(end.unwrap_or(self.0.len()))?;
        self.advance(token.len());
        (!token.is_empty()).then_some(token)
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.0.starts_with(wanted);
        if found {
            self.advance(wanted.len_utf8());
        }
        found
    }

    /// Goes on by so many bytes, and over spaces.
    fn advance(&mut self, bytes: usize) {
        let rest = self.0.get(bytes..).unwrap_or_default();
        self.0 = rest.trim_start_matches([' ', '\t']);
    }
}

#[cfg(test)]
#[path = "extensions_tests.rs"]
mod tests;
