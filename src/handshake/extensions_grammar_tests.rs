//! The grammar of the header (RFC 6455 section 9.1).

use super::*;
use proptest::prelude::*;
use std::time::{Duration, Instant};

#[test]
fn a_list_means_the_same_however_it_is_written() {
    for (lines, expected) in [
        (&[][..], ""),
        (&[""], ""),
        (&["", ""], ""),
        (&[" \t"], ""),
        (&[",", " , ,\t,"], ""),
        (&["a"], "a"),
        (&[" a\t"], "a"),
        (&[",a,"], "a"),
        (&[", ,a\t, ,b , "], "a,b"),
        (&["a,b", "c"], "a,b,c"),
        (&["a", "", "b"], "a,b"),
        (&["a,", ",b"], "a,b"),
        (&["a, a", "a"], "a,a,a"),
        (&["a;b"], "a;b"),
        (&["a \t;\t b"], "a;b"),
        (&["a;b;b;c"], "a;b;b;c"),
        (&["a;b=c"], "a;b=c"),
        (&["a ; b\t=\t c , d"], "a;b=c,d"),
        (&["a;b=\"c\""], "a;b=c"),
        (&["a; b = \"c\" ; d = e"], "a;b=c;d=e"),
        (&["a;b=\"c\",d"], "a;b=c,d"),
        (&["a;b=\"\\c\\d\""], "a;b=cd"),
        (&["a;b=\"c\";b=\"d\",e"], "a;b=c;b=d,e"),
        (&["!#$%&'*+-.^_`|~09azAZ"], "!#$%&'*+-.^_`|~09azAZ"),
        (&["a;b=!#$%&'*+-.^_`|~09azAZ"], "a;b=!#$%&'*+-.^_`|~09azAZ"),
        (&["A;B=C"], "A;B=C"),
    ] {
        assert_eq!(understood(lines).as_deref(), Some(expected), "{lines:?}");
    }
}

#[test]
fn what_breaks_the_grammar_breaks_the_whole_header() {
    for wrong in [
        "=",
        ";",
        ";a",
        "=a",
        "\"a\"",
        "a b",
        "a\tb",
        "a=b",
        "a/b",
        "a:b",
        "a;",
        "a;;b",
        "a;b;",
        "a; ,b",
        "a;=b",
        "a;b=",
        "a;b= ",
        "a;b=,c",
        "a;b=;c",
        "a;b==c",
        "a;b=c=d",
        "a;b=c d",
        "a;b c",
        "a;\"b\"",
        "a;\"b\"=c",
        "a;b=\"\"",
        "a;b=\"",
        "a;b=\"c",
        "a;b=c\"",
        "a;b=\"c\\",
        "a;b=\"c\\\"",
        "a;b=\"c\"d",
        "a;b=\"c\"\"d\"",
        "a;b=\"c d\"",
        "a;b=\" c\"",
        "a;b=\"c \"",
        "a;b=\"c,d\"",
        "a;b=\"c;d\"",
        "a;b=\"c=d\"",
        "a;b=\"c\\\"d\"",
        "a;b=\"c\\\\d\"",
        "a;b=\"c\td\"",
        "a;b='c,d'\"",
        "a;b=\\c",
        "\\a",
        "a;b=\"c\", \"d\"",
        "a;b=(c)",
        "a@b",
    ] {
        for lines in [&[wrong][..], &["x", wrong], &[wrong, "x;y=z"]] {
            assert_eq!(understood(lines), None, "{lines:?}");
        }
        assert_eq!(understood(&[format!("x, {wrong}")]), None, "{wrong:?}");
        let headers = headers(&[wrong]);
        assert!(check_request(&headers).is_err());
        assert!(judge_response(&headers, None).is_err());
        assert_eq!(agree(&headers, &Compression::server()), None);
    }
}

#[test]
fn a_quoted_string_does_not_go_on_in_the_next_line() {
    assert_eq!(understood(&["a;b=\"c", "d\""]), None);
    assert_eq!(understood(&["a;b=\"c\\", "d\""]), None);
    assert_eq!(understood(&["a;b=", "\"c\""]), None);
    assert_eq!(understood(&["a;", "b"]), None);
}

/// All bytes that a header can have.
fn bytes() -> impl Iterator<Item = u8> {
    (0..=255).filter(|byte| HeaderValue::from_bytes(&[b'x', *byte, b'y']).is_ok())
}

#[test]
fn a_name_has_no_byte_that_a_token_has_not() {
    for byte in bytes() {
        let expected = match byte {
            b',' => Some("x,y".to_owned()),
            b';' => Some("x;y".to_owned()),
            byte if is_token_byte(byte) => Some(format!("x{}y", char::from(byte))),
            _ => None,
        };
        assert_eq!(understood(&[[b'x', byte, b'y']]), expected, "{byte:#x}");
    }
}

#[test]
fn a_quoted_value_has_no_byte_that_a_token_has_not() {
    for byte in bytes().filter(|byte| !b"\"\\".contains(byte)) {
        let text = char::from(byte);
        let expected = is_token_byte(byte).then(|| format!("x;y=a{text}b"));
        for escape in ["", "\\"] {
            let line = [b"x;y=\"a", escape.as_bytes(), &[byte], b"b\""].concat();
            assert_eq!(understood(&[line]), expected, "{escape}{byte:#x}");
        }
    }
}

#[test]
fn what_is_not_ascii_breaks_the_grammar_wherever_it_stands() {
    for line in [
        "\u{e9}",
        "a\u{e9}",
        "a;\u{e9}",
        "a;b=\u{e9}",
        "a;b=\"\u{e9}\"",
        "a,\u{2603}",
    ] {
        assert_eq!(understood(&[line]), None, "{line}");
    }
    for line in [&b"\xff"[..], b"a;b=\"\\\x80\"", b"a\xa0;b", b"a,\xe9"] {
        assert_eq!(understood(&[line]), None, "{line:?}");
    }
}

/// In a time that grows with the square of the length, they would take a minute at the very least.
#[test]
fn long_lists_take_time_in_proportion() {
    const SIZE: usize = 512 << 10;
    let fill = |begin: &str, piece: &str, end: &str| {
        format!("{begin}{}{end}", piece.repeat(SIZE / piece.len()))
    };
    let began = Instant::now();
    for line in [
        fill("", ",", ""),
        fill("a", " ", "b"),
        fill("a", " ,", ""),
        fill("", "a,", ""),
        fill("", "a", ""),
        fill("a", ";a", ""),
        fill("a", " ; a = \"b\"", ""),
        fill("a;b=\"", "c", "\""),
        fill("a;b=\"", "\\c", "\""),
        fill("a;b=\"", "\\", ""),
        fill("", "permessage-deflate;x,", ""),
        fill("permessage-deflate", ";client_max_window_bits", ""),
    ] {
        let headers = headers(&[&line]);
        let _ = check_request(&headers);
        let _ = agree(&headers, &Compression::server());
        let _ = judge_response(&headers, Some(&Compression::client()));
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
}

/// A value as a quoted string, some of its bytes behind a backslash.
fn quoted(value: &str, escapes: &[bool]) -> String {
    let escapes = escapes.iter().chain(std::iter::repeat(&false));
    let escaped = value.chars().zip(escapes).map(|(c, escape)| match escape {
        true => format!("\\{c}"),
        false => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

/// A parameter: in one form, and in one of the many.
fn param() -> impl Strategy<Value = (String, String)> {
    let token = "[!#$%&'*+.^_`|~0-9a-zA-Z-]{1,6}";
    let space = "[ \t]{0,2}";
    let value = (
        token,
        any::<bool>(),
        prop::collection::vec(any::<bool>(), 6),
    );
    (token, prop::option::of(value), [space; 4]).prop_map(|(name, value, [a, b, c, d])| match value
    {
        None => (format!(";{name}"), format!("{a};{b}{name}{c}")),
        Some((value, quotes, escapes)) => {
            let written = match quotes {
                true => quoted(&value, &escapes),
                false => value.clone(),
            };
            (
                format!(";{name}={value}"),
                format!("{a};{b}{name}{c}={d}{written}"),
            )
        }
    })
}

/// An extension, and what stands between it and the next.
fn extension() -> impl Strategy<Value = (String, String)> {
    let separator =
        prop::sample::select(&[",", ", ", "\t,", ", ,", ",,", "\n", ",\n", "\n,", "\n\n"][..]);
    let params = prop::collection::vec(param(), 0..4);
    ("[0-9a-z!-]{1,6}", params, separator).prop_map(|(name, params, separator)| {
        let (plain, written): (String, String) = params.into_iter().unzip();
        (
            format!("{name}{plain}"),
            format!("{name}{written}{separator}"),
        )
    })
}

proptest! {
    #[test]
    fn what_was_written_by_the_grammar_is_read_as_it_was_meant(
        extensions in prop::collection::vec(extension(), 0..5),
    ) {
        let (plain, written): (Vec<_>, String) = extensions.into_iter().unzip();
        let lines: Vec<_> = written.split('\n').collect();
        prop_assert_eq!(understood(&lines), Some(plain.join(",")));
    }
}
