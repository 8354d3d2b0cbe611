//! What a client offers and makes of the answer (RFC 7692 section 7.1).

use super::*;

/// The header in so many lines.
fn headers(lines: &[impl AsRef<[u8]>]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let value = HeaderValue::from_bytes(line.as_ref()).unwrap();
        headers.append(SEC_WEBSOCKET_EXTENSIONS, value);
    }
    headers
}

/// The list as it was understood, in one form.
fn understood(lines: &[impl AsRef<[u8]>]) -> Option<String> {
    let headers = headers(lines);
    let extensions = parse(&headers)?;
    let texts = extensions.iter().map(|extension| {
        let params = extension.params.iter().map(|(name, value)| match value {
            Some(value) => format!(";{name}={value}"),
            None => format!(";{name}"),
        });
        extension.name.to_owned() + &params.collect::<String>()
    });
    Some(texts.collect::<Vec<_>>().join(","))
}

fn bits(server: u8, client: u8) -> Compression {
    Compression {
        server_max_window_bits: server,
        client_max_window_bits: client,
        ..Compression::server()
    }
}

fn no_takeover(server: bool, client: bool) -> Compression {
    Compression {
        server_no_context_takeover: server,
        client_no_context_takeover: client,
        ..bits(15, 15)
    }
}

/// In the order server's window, client's window, without the server's takeover, without the client's.
type Params = (u8, u8, bool, bool);

fn params(agreed: DeflateParams) -> Params {
    (
        agreed.server_max_window_bits,
        agreed.client_max_window_bits,
        agreed.server_no_context_takeover,
        agreed.client_no_context_takeover,
    )
}

/// The answer of a server to these lines, without the name, and what it takes as agreed.
fn answer(lines: &[&str], ours: &Compression) -> Option<(String, Params)> {
    let (agreed, value) = agree(&headers(lines), ours)?;
    let answer = value.to_str().unwrap().strip_prefix(NAME).unwrap();
    Some((answer.replace("; ", ";"), params(agreed)))
}

/// What a client takes as agreed, if it does.
fn agreed(lines: &[&str], offered: Option<&Compression>) -> Result<Option<Params>, HandshakeError> {
    judge_response(&headers(lines), offered).map(|agreed| agreed.map(params))
}

#[track_caller]
fn assert_refused(lines: &[&str], offered: Option<&Compression>) {
    match agreed(lines, offered) {
        Err(HandshakeError::Extension) => {}
        other => panic!("{lines:?}: {other:?}"),
    }
}

mod client {
    use super::*;

    #[test]
    fn an_offer_says_what_is_wanted() {
        for (compression, expected) in [
            (Compression::client(), "; client_max_window_bits"),
            (
                Compression::server(),
                "; server_max_window_bits=12; client_max_window_bits=12",
            ),
            (
                bits(8, 15),
                "; server_max_window_bits=8; client_max_window_bits",
            ),
            (bits(15, 8), "; client_max_window_bits=8"),
            (
                no_takeover(true, false),
                "; server_no_context_takeover; client_max_window_bits",
            ),
            (
                no_takeover(false, true),
                "; client_no_context_takeover; client_max_window_bits",
            ),
            (
                no_takeover(true, true),
                "; server_no_context_takeover; client_no_context_takeover; client_max_window_bits",
            ),
        ] {
            assert_eq!(offer(&compression), format!("{NAME}{expected}"));
        }
    }

    #[test]
    fn an_answer_says_what_holds() {
        for (offered, answer, expected) in [
            (bits(15, 15), "", (15, 15, false, false)),
            (
                bits(15, 15),
                "; server_max_window_bits=15",
                (15, 15, false, false),
            ),
            (
                bits(15, 15),
                "; server_max_window_bits=8",
                (8, 15, false, false),
            ),
            (
                bits(15, 15),
                "; client_max_window_bits=15",
                (15, 15, false, false),
            ),
            (
                bits(15, 15),
                "; client_max_window_bits=8",
                (15, 8, false, false),
            ),
            (
                bits(15, 15),
                "; client_max_window_bits=\"10\"",
                (15, 10, false, false),
            ),
            (
                bits(15, 15),
                "; server_no_context_takeover",
                (15, 15, true, false),
            ),
            (
                bits(15, 15),
                "; client_no_context_takeover",
                (15, 15, false, true),
            ),
            // The server may ignore these two; the client keeps to them.
            (bits(15, 10), "", (15, 10, false, false)),
            (no_takeover(false, true), "", (15, 15, false, true)),
            (
                no_takeover(true, true),
                "; server_no_context_takeover",
                (15, 15, true, true),
            ),
            (
                bits(12, 11),
                ";client_max_window_bits=11 ; client_no_context_takeover;\t\
                 server_max_window_bits = 12;server_no_context_takeover",
                (12, 11, true, true),
            ),
        ] {
            let line = format!("{NAME}{answer}");
            let agreed = agreed(&[&line], Some(&offered)).unwrap();
            assert_eq!(agreed, Some(expected), "{line} to {offered:?}");
        }
    }

    #[test]
    fn windows_are_no_larger_than_offered() {
        for (offered, answered) in (8..=15).flat_map(|a| (8..=15).map(move |b| (a, b))) {
            let server = format!("{NAME}; server_max_window_bits={answered}");
            let client = format!("{NAME}; client_max_window_bits={answered}");
            if answered <= offered {
                let server = agreed(&[&server], Some(&bits(offered, 15))).unwrap();
                assert_eq!(server, Some((answered, 15, false, false)));
                let client = agreed(&[&client], Some(&bits(15, offered))).unwrap();
                assert_eq!(client, Some((15, answered, false, false)));
            } else {
                assert_refused(&[&server], Some(&bits(offered, 15)));
                assert_refused(&[&client], Some(&bits(15, offered)));
            }
        }
    }

    #[test]
    fn what_was_offered_for_the_server_has_to_be_answered() {
        for bits_offered in 8..15 {
            assert_refused(&[NAME], Some(&bits(bits_offered, 15)));
            assert_refused(
                &["permessage-deflate; client_max_window_bits=8"],
                Some(&bits(bits_offered, 15)),
            );
        }
        assert_refused(&[NAME], Some(&no_takeover(true, false)));
        assert_refused(
            &["permessage-deflate; client_no_context_takeover; server_max_window_bits=8"],
            Some(&no_takeover(true, true)),
        );
    }

    #[test]
    fn what_no_server_may_answer_is_refused() {
        let offered = Compression::client();
        for lines in [
            &["permessage-deflate; client_max_window_bits"][..],
            &["permessage-deflate; server_max_window_bits"],
            &["permessage-deflate, permessage-deflate"],
            &["permessage-deflate", "permessage-deflate"],
            &["permessage-deflate, x"],
            &["x, permessage-deflate"],
            &["permessage-deflate", "x"],
            &["x"],
            &["Permessage-Deflate"],
            &["permessage-deflate;"],
            &["permessage-deflate", "\u{e9}"],
            &["permessage-deflate; server_max_window_bits=\"10"],
        ] {
            assert_refused(lines, Some(&offered));
        }
    }

    #[test]
    fn without_the_header_there_is_no_compression() {
        for lines in [&[][..], &[""], &["", ","]] {
            for offered in [
                None,
                Some(&Compression::client()),
                Some(&no_takeover(true, true)),
            ] {
                assert_eq!(agreed(lines, offered).unwrap(), None, "{lines:?}");
            }
        }
    }

    #[test]
    fn nothing_is_agreed_to_that_was_not_offered() {
        assert_refused(&[NAME], None);
        assert_refused(&["x"], None);
        assert_refused(&[";"], None);
    }
}

#[path = "extensions_grammar_tests.rs"]
mod grammar;

#[path = "extensions_server_tests.rs"]
mod server;
