//! The blocks of a PEM file (RFC 7468). What is inside them is for the TLS library.

use crate::error::TlsError;
use std::ops::Range;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// The certificates, each with its BEGIN and END lines. At least one.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<String>, TlsError> {
    let found: Vec<String> = blocks(pem)?
        .into_iter()
        .filter(|block| block.label == "CERTIFICATE" || block.label == "X509 CERTIFICATE")
        .map(|block| block.text)
        .collect();
    if found.is_empty() {
        return Err(TlsError::plain("there is no certificate in the PEM text"));
    }
    Ok(found)
}

/// The one private key, in PKCS#8.
pub(super) fn private_key(pem: &[u8]) -> Result<String, TlsError> {
    let mut keys = blocks(pem)?
        .into_iter()
        .filter(|block| block.label.ends_with("PRIVATE KEY"));
    let Some(key) = keys.next() else {
        return Err(TlsError::plain("there is no private key in the PEM text"));
    };
    if keys.next().is_some() {
        return Err(TlsError::plain(
            "there are several private keys in the PEM text",
        ));
    }
    match key.label.as_str() {
        "PRIVATE KEY" => Ok(key.text),
        "ENCRYPTED PRIVATE KEY" => Err(TlsError::plain(
            "the private key is encrypted: `openssl pkcs8 -topk8 -nocrypt` decrypts it",
        )),
        _ => Err(TlsError::plain(
            "the private key is not in PKCS#8: `openssl pkcs8 -topk8 -nocrypt` converts it",
        )),
    }
}

/// One block.
#[cfg(feature = "pkcs12")]
pub(super) fn block(label: &str, der: &[u8]) -> String {
    let encode = |line| data_encoding::BASE64.encode(line) + "\n";
    let lines: String = der.chunks(48).map(encode).collect();
    format!("{BEGIN}{label}{DASHES}\n{lines}{END}{label}{DASHES}\n")
}

struct Block {
    label: String,
    text: String,
}

/// Text around the blocks is allowed, in any encoding.
fn blocks(pem: &[u8]) -> Result<Vec<Block>, TlsError> {
    let pem = String::from_utf8_lossy(pem);
    let mut blocks = Vec::new();
    let mut open: Option<(&str, usize)> = None;
    let mut at = 0;
    for line in pem.split_inclusive('\n') {
        let Range { start, end } = at..at + line.len();
        at = end;
        let line = line.trim_end();
        match open {
            None => open = label(line, BEGIN).map(|label| (label, start)),
            Some((begun, from)) => match label(line, END) {
                Some(ended) if ended == begun => {
                    blocks.push(Block {
                        label: begun.to_owned(),
                        text: pem[from..end].trim_end().to_owned() + "\n",
                    });
                    open = None;
                }
                None if line.bytes().all(is_inside) => {}
                _ => return Err(TlsError::plain("the PEM text is damaged")),
            },
        }
    }
    match open {
        None => Ok(blocks),
        Some(_) => Err(TlsError::plain("the PEM text is cut off")),
    }
}

fn label<'a>(line: &'a str, marker: &str) -> Option<&'a str> {
    line.strip_prefix(marker)?.strip_suffix(DASHES)
}

/// Base64, and the header lines of older key files (`Proc-Type: 4,ENCRYPTED`).
fn is_inside(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/= \t:,-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CA: &str = include_str!("../../../tests/certs/ca.pem");
    const CHAIN: &str = include_str!("../../../tests/certs/server.pem");
    const KEY: &str = include_str!("../../../tests/certs/server.key");
    const SEC1: &str = include_str!("../../../tests/certs/other-sec1.key");

    #[test]
    fn a_bundle_gives_each_certificate() {
        assert_eq!(certificates(CA.as_bytes()).unwrap(), [CA]);
        assert_eq!(certificates(CHAIN.as_bytes()).unwrap().len(), 2);
    }

    #[test]
    fn text_around_blocks_and_other_line_ends_are_allowed() {
        let mut pem = b"subject: \xe4\xff\n".to_vec();
        pem.extend_from_slice(CHAIN.replace('\n', "\r\n").as_bytes());
        pem.extend_from_slice(KEY.trim_end().as_bytes());
        assert_eq!(certificates(&pem).unwrap().len(), 2);
        assert_eq!(private_key(&pem).unwrap(), KEY);
    }

    #[test]
    fn what_is_not_pem_is_refused() {
        let cut = &CA[..CA.len() - 10];
        let twice = format!("{KEY}{KEY}");
        assert!(certificates(b"").is_err());
        assert!(certificates(KEY.as_bytes()).is_err());
        assert!(certificates(cut.as_bytes()).is_err());
        assert!(certificates(CA.replace("END CERT", "END CRT").as_bytes()).is_err());
        assert!(certificates(CA.replacen('M', "\u{fffd}", 1).as_bytes()).is_err());
        assert!(private_key(CA.as_bytes()).is_err());
        assert!(private_key(twice.as_bytes()).is_err());
    }

    #[test]
    fn a_key_in_another_form_is_told_how_to_be_converted() {
        let error = private_key(SEC1.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("openssl pkcs8"), "{error}");
    }
}
