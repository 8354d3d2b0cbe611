use super::*;
use data_encoding::BASE64;

fn parse(address: &str) -> Target {
    Target::parse(address).unwrap()
}

fn error(address: &str) -> UriError {
    Target::parse(address).unwrap_err()
}

fn credentials(address: &str) -> String {
    let value = parse(address).authorization().unwrap();
    assert!(value.is_sensitive());
    let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
    String::from_utf8(BASE64.decode(encoded.as_bytes()).unwrap()).unwrap()
}

#[test]
fn defaults_follow_from_the_scheme() {
    let plain = parse("ws://example.com");
    assert!(!plain.is_secure());
    assert_eq!((plain.host(), plain.port()), ("example.com", 80));
    assert_eq!(plain.host_header(), "example.com");
    assert_eq!(plain.resource_name(), "/");
    assert_eq!(plain.authorization(), None);
    let secure = parse("wss://example.com");
    assert!(secure.is_secure());
    assert_eq!(secure.port(), 443);
}

#[test]
fn scheme_and_host_ignore_case() {
    assert_eq!(parse("WSS://EXAMPLE.com/A"), parse("wss://example.com/A"));
}

#[test]
fn host_header_names_a_port_that_is_not_the_default() {
    assert_eq!(parse("ws://h:8080").host_header(), "h:8080");
    assert_eq!(parse("ws://h:443").host_header(), "h:443");
    assert_eq!(parse("ws://h:80").host_header(), "h");
    assert_eq!(parse("wss://h:443").host_header(), "h");
    assert_eq!(parse("ws://h:/").port(), 80);
}

#[test]
fn ipv6_is_bracketed_in_the_host_header_only() {
    let target = parse("ws://[::1]:9001/x");
    assert_eq!((target.host(), target.port()), ("::1", 9001));
    assert_eq!(target.host_header(), "[::1]:9001");
    assert_eq!(parse("wss://[2001:DB8::1]").host_header(), "[2001:db8::1]");
}

#[test]
fn resource_name_is_path_and_query() {
    assert_eq!(
        parse("ws://h/a/b?c=d&e=%20").resource_name(),
        "/a/b?c=d&e=%20"
    );
    assert_eq!(parse("ws://h?c=/d").resource_name(), "/?c=/d");
    assert_eq!(parse("ws://h/?u=a@b:c").resource_name(), "/?u=a@b:c");
    assert_eq!(parse("ws://h//x").resource_name(), "//x");
}

#[test]
fn user_information_becomes_basic_credentials() {
    assert_eq!(credentials("ws://user:pass@h"), "user:pass");
    assert_eq!(credentials("ws://us%65r:p%40ss%3a@h:1/"), "user:p@ss:");
    assert_eq!(credentials("ws://token:@h"), "token:");
    assert_eq!(credentials("ws://:token@h"), ":token");
    assert_eq!(credentials("ws://a:b:c@h"), "a:b:c");
    assert_eq!(
        parse("ws://Aladdin:open%20sesame@h")
            .authorization()
            .unwrap(),
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    );
}

#[test]
fn debug_does_not_show_credentials() {
    let shown = format!("{:?}", parse("ws://user:pass@h"));
    assert!(
        shown.contains("Credentials") && !shown.contains("pass"),
        "{shown}"
    );
}

#[test]
fn user_information_that_cannot_be_sent_is_refused() {
    for user_info in [
        "user",
        "",
        ":",
        "a%3Ab:c",
        "a:b%0d%0aX",
        "a%00:b",
        "a:%zz",
        "a:%4",
        "a:%+1",
        "a@b:c",
    ] {
        assert_eq!(
            error(&format!("ws://{user_info}@h")),
            UriError::UserInfo,
            "{user_info}"
        );
    }
}

#[test]
fn a_wrong_scheme_is_refused() {
    for address in ["http://h", "ws+tls://h", "localhost:80", "://h", "wsss://h"] {
        assert_eq!(error(address), UriError::Scheme, "{address}");
    }
}

#[test]
fn a_missing_host_is_refused() {
    for address in [
        "ws://",
        "ws:///x",
        "ws://:80",
        "ws://u:p@",
        "wss://?q",
        "ws://::1",
    ] {
        assert_eq!(error(address), UriError::Host, "{address}");
    }
}

#[test]
fn a_fragment_is_refused() {
    for address in ["ws://h#", "ws://h/a#b", "ws://h/?a#b"] {
        assert_eq!(error(address), UriError::Fragment, "{address}");
    }
}

#[test]
fn a_wrong_port_is_refused() {
    for address in [
        "ws://h:65536",
        "ws://h:+80",
        "ws://h:8x",
        "ws://h:-1",
        "ws://fe80::1/",
    ] {
        assert_eq!(error(address), UriError::Port, "{address}");
    }
}

#[cfg(feature = "url")]
#[test]
fn a_host_in_another_script_is_what_dns_knows_it_as() {
    for (host, ascii) in [
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.Example", "xn--bcher-kva.example"),
        ("faß.de", "xn--fa-hia.de"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("пример.рф.", "xn--e1afmkfd.xn--p1ai."),
        ("127。0。0。1", "127.0.0.1"),
    ] {
        let target = parse(&format!("wss://{host}:81/x"));
        assert_eq!(target.host(), ascii);
        assert_eq!(target.host_header(), format!("{ascii}:81"));
        assert_eq!(target, parse(&format!("wss://{ascii}:81/x")));
    }
}

#[cfg(feature = "url")]
#[test]
fn a_host_in_another_script_that_is_no_name_is_refused() {
    let long = "ü".repeat(64);
    for host in [
        "a\u{ff0f}b",
        "é%41",
        "é,",
        "\u{3000}",
        "\u{ad}",
        "a\u{200d}b",
        &long,
    ] {
        assert_eq!(error(&format!("ws://{host}/")), UriError::Idna, "{host:?}");
    }
}

#[cfg(not(feature = "url"))]
#[test]
fn a_host_in_another_script_needs_a_feature_and_the_error_names_it() {
    let error = error("ws://bücher.example/");
    assert_eq!(error, UriError::IdnaUnavailable);
    assert!(error.to_string().contains("the feature url"), "{error}");
}

#[test]
fn other_scripts_are_for_hosts_alone() {
    for address in ["ws://h/é", "ws://h/?é", "ws://é/é"] {
        assert_eq!(error(address), UriError::Syntax, "{address}");
    }
    assert_eq!(error("ws://é:p@h/"), UriError::UserInfo);
    assert_eq!(error("wś://h/"), UriError::Scheme);
    assert_eq!(error("ws://h:８0/"), UriError::Port);
}

#[test]
fn what_is_no_uri_is_refused() {
    for address in [
        "",
        "ws",
        "ws:h",
        "ws:/h",
        "ws://[::1",
        "ws://[h]",
        "ws://[::1]x",
        "ws://[]",
        "ws://a b",
        "ws://h/a b",
        "ws://h/\r\nX: y",
        "ws://h\r\n",
        "ws://h/\t",
        "ws://h/\u{e9}",
        "ws+unix:/h\u{e9}",
        "ws://h%C3%A9",
        "ws://h/\0",
        "ws://h%41",
        "ws://h,i",
        "ws://a\\b",
    ] {
        assert_eq!(error(address), UriError::Syntax, "{address:?}");
    }
}
