//! What a server answers to an offer (RFC 7692 section 7.1).

use super::*;

#[track_caller]
fn assert_answered(offer: &str, ours: &Compression, expected: &str, agreed: Params) {
    let answer = answer(&[&format!("{NAME}{offer}")], ours);
    assert_eq!(
        answer,
        Some((expected.to_owned(), agreed)),
        "{offer:?} to {ours:?}"
    );
}

#[test]
fn of_two_windows_the_smaller_is_answered() {
    // Offered for the server and the client, ours, the answer and what holds.
    for (offered, (server, client), answered, (server_bits, client_bits)) in [
        ("", (15, 15), "", (15, 15)),
        ("", (12, 12), "S=12", (12, 15)),
        ("", (15, 8), "", (15, 15)),
        ("C", (15, 15), "", (15, 15)),
        ("C", (12, 12), "S=12;C=12", (12, 12)),
        ("C=10", (12, 12), "S=12;C=10", (12, 10)),
        ("C=10", (15, 15), "C=10", (15, 10)),
        ("C=15", (15, 15), "", (15, 15)),
        ("C=15", (15, 9), "C=9", (15, 9)),
        ("S=15", (15, 15), "S=15", (15, 15)),
        ("S=15", (8, 15), "S=8", (8, 15)),
        ("S=9", (12, 12), "S=9", (9, 15)),
        ("S=\"10\"", (15, 15), "S=10", (10, 15)),
        ("C=8;S=9", (15, 15), "S=9;C=8", (9, 8)),
    ] {
        let spell = |short: &str| {
            let params = short.split(';').filter(|param| !param.is_empty());
            let params = params.map(|param| format!(";{param}"));
            let text = params.collect::<String>();
            text.replace('S', SERVER_MAX_WINDOW_BITS)
                .replace('C', CLIENT_MAX_WINDOW_BITS)
        };
        let agreed = (server_bits, client_bits, false, false);
        let ours = bits(server, client);
        assert_answered(&spell(offered), &ours, &spell(answered), agreed);
    }
}

#[test]
fn all_parameters_go_together_in_any_order() {
    assert_answered(
        ";client_max_window_bits=8;server_max_window_bits=9;client_no_context_takeover;\
         server_no_context_takeover",
        &Compression::server(),
        ";server_no_context_takeover;client_no_context_takeover;server_max_window_bits=9;\
         client_max_window_bits=8",
        (9, 8, true, true),
    );
}

const INVALID: [&str; 40] = [
    "x",
    "x=y",
    "Server_No_Context_Takeover",
    "server_no_context_takeover=true",
    "server_no_context_takeover=1",
    "client_no_context_takeover=15",
    "client_no_context_takeover=\"x\"",
    "server_no_context_takeover; server_no_context_takeover",
    "client_no_context_takeover; client_no_context_takeover",
    "client_no_context_takeover; x",
    "server_max_window_bits",
    "server_max_window_bits=7",
    "server_max_window_bits=16",
    "server_max_window_bits=0",
    "server_max_window_bits=08",
    "server_max_window_bits=015",
    "server_max_window_bits=+9",
    "server_max_window_bits=-9",
    "server_max_window_bits=1e1",
    "server_max_window_bits=0xa",
    "server_max_window_bits=10.0",
    "server_max_window_bits=264",
    "server_max_window_bits=99999999999999999999",
    "server_max_window_bits=x",
    "server_max_window_bits=10; server_max_window_bits=10",
    "server_max_window_bits=10; server_max_window_bits=9",
    "server_max_window_bits=\"7\"",
    "client_max_window_bits=7",
    "client_max_window_bits=16",
    "client_max_window_bits=08",
    "client_max_window_bits=015",
    "client_max_window_bits=+9",
    "client_max_window_bits=1e1",
    "client_max_window_bits=true",
    "client_max_window_bits=\"16\"",
    "client_max_window_bits; client_max_window_bits",
    "client_max_window_bits; client_max_window_bits=10",
    "client_max_window_bits=10; client_max_window_bits",
    "client_max_window_bits=10; client_max_window_bits=10",
    "server_max_window_bits=10; client_max_window_bits=16",
];

#[test]
fn an_invalid_offer_is_declined_and_the_next_one_taken() {
    let ours = bits(15, 15);
    let expected = Some((
        ";server_max_window_bits=11".to_owned(),
        (11, 15, false, false),
    ));
    let fallback = format!("{NAME}; server_max_window_bits=11");
    for params in INVALID {
        let invalid = format!("{NAME}; {params}");
        assert!(check_request(&headers(&[&invalid])).is_ok(), "{invalid}");
        assert_eq!(answer(&[&invalid], &ours), None, "{invalid}");
        let one_line = format!("{invalid}, {fallback}");
        assert_eq!(answer(&[&one_line], &ours), expected, "{invalid}");
        assert_eq!(answer(&[&invalid, &fallback], &ours), expected, "{invalid}");
        // A client takes it no better.
        assert_refused(&[&invalid], Some(&ours));
    }
}

#[test]
fn the_first_of_several_offers_is_taken() {
    let ours = bits(15, 15);
    let (ten, nine) = (
        "permessage-deflate; server_max_window_bits=10",
        "permessage-deflate; server_max_window_bits=9",
    );
    let bits_in = |lines: &[&str]| answer(lines, &ours).unwrap().1.0;
    assert_eq!(bits_in(&[ten, nine]), 10);
    assert_eq!(bits_in(&[nine, ten]), 9);
    assert_eq!(bits_in(&[&format!("{ten}, {nine}")]), 10);
    assert_eq!(bits_in(&[&format!("{nine}, {ten}"), NAME]), 9);
    assert_eq!(bits_in(&[NAME, nine]), 15);
}

#[test]
fn other_extensions_are_ignored() {
    let ours = bits(15, 15);
    let expected = Some((String::new(), (15, 15, false, false)));
    for lines in [
        &["x-webkit-deflate-frame, permessage-deflate"][..],
        &["permessage-deflate, x; server_max_window_bits=7; y=\"z\""],
        &[
            "permessage-bzip2; server_max_window_bits",
            "x",
            "permessage-deflate",
        ],
    ] {
        assert_eq!(answer(lines, &ours), expected, "{lines:?}");
    }
    for lines in [
        &[][..],
        &[""],
        &["x"],
        &["deflate-frame"],
        &["permessage-deflate2"],
        &["permessage"],
        &["Permessage-Deflate"],
        &["x; permessage-deflate"],
        &["x; y=permessage-deflate"],
    ] {
        assert_eq!(answer(lines, &ours), None, "{lines:?}");
    }
}

#[test]
fn a_header_that_is_malformed_behind_a_good_offer_is_not_agreed_to() {
    assert_eq!(answer(&["permessage-deflate", "x;"], &bits(15, 15)), None);
}

/// Every choice of ours with every offer, by the rules of RFC 7692 sections 7.1.1 and 7.1.2.
#[test]
fn every_answer_is_one_that_the_offer_allows() {
    let windows = || (7u8..=15).map(|bits| (bits > 7).then_some(bits));
    for (ours, offered) in (8..=15).flat_map(|ours| windows().map(move |bits| (ours, bits))) {
        let server = offered.map(|bits| format!("server_max_window_bits={bits}"));
        let offer = [Some(NAME.to_owned()), server].into_iter().flatten();
        let offer = offer.collect::<Vec<_>>().join(";");
        let (text, agreed) = answer(&[&offer], &bits(ours, 15)).unwrap();
        let least = offered.unwrap_or(15).min(ours);
        assert_eq!(agreed, (least, 15, false, false));
        // Always answered when offered (section 7.1.2.1).
        let silent = offered.is_none() && ours == 15;
        let expected = format!(";server_max_window_bits={least}");
        assert_eq!(text, if silent { "" } else { &expected });

        let client = match offered {
            None => "client_max_window_bits".to_owned(),
            Some(bits) => format!("client_max_window_bits={bits}"),
        };
        let (text, agreed) = answer(&[&format!("{NAME};{client}")], &bits(15, ours)).unwrap();
        assert_eq!(agreed, (15, least, false, false));
        let expected = format!(";client_max_window_bits={least}");
        assert_eq!(text, if least == 15 { "" } else { &expected });

        // Never answered unless offered (section 7.1.2.2).
        let (text, agreed) = answer(&[NAME], &bits(15, ours)).unwrap();
        assert_eq!((text.as_str(), agreed), ("", (15, 15, false, false)));
    }
    for choice in 0..16u8 {
        let [server, client, by_server, by_client] = [1, 2, 4, 8].map(|bit| choice & bit != 0);
        let mut offer = NAME.to_owned();
        offer += if server {
            ";server_no_context_takeover"
        } else {
            ""
        };
        offer += if client {
            ";client_no_context_takeover"
        } else {
            ""
        };
        let (text, agreed) = answer(&[&offer], &no_takeover(by_server, by_client)).unwrap();
        let (server, client) = (server || by_server, client || by_client);
        assert_eq!(agreed, (15, 15, server, client));
        assert_eq!(text.contains("server_no_context_takeover"), server);
        assert_eq!(text.contains("client_no_context_takeover"), client);
    }
}
