//! Proxies that the environment names.

use super::Proxy;
use crate::error::Error;
use crate::uri::Target;
use std::net::IpAddr;

pub(super) fn find(
    target: &Target,
    var: impl Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>, Error> {
    let names = match target.is_secure() {
        true => ["WSS_PROXY", "HTTPS_PROXY", "ALL_PROXY"],
        false => ["WS_PROXY", "HTTP_PROXY", "ALL_PROXY"],
    };
    // A client of a CGI program sets HTTP_PROXY with its header `Proxy`.
    let cgi = var("REQUEST_METHOD").is_some();
    let either = |name: &str| {
        let upper = || var(name).filter(|_| !cgi || name != "HTTP_PROXY");
        let given = |value: &String| !value.trim().is_empty();
        let lower = var(&name.to_ascii_lowercase()).filter(given);
        lower.or_else(|| upper().filter(given))
    };
    let Some(url) = names.into_iter().find_map(either) else {
        return Ok(None);
    };
    let exempt = either("NO_PROXY").is_some_and(|list| is_listed(&list, target));
    if exempt {
        return Ok(None);
    }
    let url = url.trim();
    match url.contains("://") {
        true => Proxy::parse(url).map(Some),
        false => Proxy::parse(&format!("http://{url}")).map(Some),
    }
}

fn is_listed(list: &str, target: &Target) -> bool {
    let host = target.host().trim_end_matches('.');
    list.split([',', ' '])
        .filter(|entry| !entry.is_empty())
        .any(|entry| entry == "*" || matches(entry, host, target.port()))
}

fn matches(entry: &str, host: &str, port: u16) -> bool {
    if let Ok(address) = host.parse::<IpAddr>() {
        let (entry, of_port) = split_port(entry);
        let plain = entry.trim_start_matches('[').trim_end_matches(']');
        return of_port.is_none_or(|p| p == port)
            && match plain.split_once('/') {
                Some((network, bits)) => is_within(address, network, bits),
                None => plain.parse() == Ok(address),
            };
    }
    let (entry, of_port) = split_port(entry);
    let domain = entry.trim_start_matches("*.").trim_matches('.');
    let domain = domain.to_ascii_lowercase();
    of_port.is_none_or(|p| p == port)
        && host
            .strip_suffix(&domain)
            .is_some_and(|rest| !domain.is_empty() && (rest.is_empty() || rest.ends_with('.')))
}

/// `host:port`; an IPv6 address has a port only behind brackets.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    match entry.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

fn is_within(address: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    let differ = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) if bits <= 32 => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) if bits <= 128 => {
            (a.to_bits() ^ b.to_bits()).leading_zeros()
        }
        _ => return false,
    };
    differ >= bits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Host and port of the proxy for an address.
    fn proxy(uri: &str, vars: &[(&str, &str)]) -> Option<(String, u16)> {
        let var = |name: &str| {
            let found = vars.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let found = find(&Target::parse(uri).unwrap(), var).unwrap();
        found.map(|proxy| (proxy.host().to_owned(), proxy.port()))
    }

    fn named(host: &str, port: u16) -> Option<(String, u16)> {
        Some((host.to_owned(), port))
    }

    #[test]
    fn the_scheme_chooses_the_variable() {
        let all = [
            ("WSS_PROXY", "http://wss:1"),
            ("HTTPS_PROXY", "http://https:2"),
            ("WS_PROXY", "http://ws:3"),
            ("HTTP_PROXY", "http://http:4"),
            ("ALL_PROXY", "socks5://all:5"),
        ];
        for (n, wss, ws) in [
            (0, named("wss", 1), named("ws", 3)),
            (1, named("https", 2), named("ws", 3)),
            (3, named("all", 5), named("http", 4)),
            (4, named("all", 5), named("all", 5)),
            (5, None, None),
        ] {
            assert_eq!(proxy("wss://a", &all[n..]), wss);
            assert_eq!(proxy("ws://a", &all[n..]), ws);
        }
    }

    #[test]
    fn lower_case_comes_first_and_what_is_empty_is_not_set() {
        let vars = [("https_proxy", "lower:1"), ("HTTPS_PROXY", "upper:2")];
        assert_eq!(proxy("wss://a", &vars), named("lower", 1));
        let vars = [("wss_proxy", ""), ("HTTPS_PROXY", " upper:2 ")];
        assert_eq!(proxy("wss://a", &vars), named("upper", 2));
    }

    #[test]
    fn a_client_of_a_cgi_program_cannot_name_the_proxy() {
        let vars = [("HTTP_PROXY", "evil:1"), ("REQUEST_METHOD", "GET")];
        assert_eq!(proxy("ws://a", &vars), None);
        let vars = [("http_proxy", "good:1"), ("REQUEST_METHOD", "GET")];
        assert_eq!(proxy("ws://a", &vars), named("good", 1));
    }

    #[test]
    fn no_proxy_lists_hosts_domains_addresses_and_networks() {
        let list = "localhost, example.org,.dot.net,*.star.net,port.net:8080,10.0.0.0/8,192.168.1.1,\
                    fd00::/8,[::1]:90";
        let exempt = [
            "ws://localhost",
            "ws://example.org",
            "ws://EXAMPLE.org.",
            "ws://sub.example.org",
            "ws://dot.net",
            "ws://a.dot.net",
            "ws://a.star.net",
            "ws://port.net:8080",
            "ws://10.1.2.3",
            "ws://192.168.1.1",
            "ws://[fd12::1]",
            "ws://[::1]:90",
        ];
        let proxied = [
            "ws://localhost.org",
            "ws://notexample.org",
            "ws://example.org.evil.com",
            "ws://port.net",
            "ws://11.1.2.3",
            "ws://192.168.1.2",
            "ws://[fe80::1]",
            "ws://[::1]:91",
        ];
        let vars = |list| [("ALL_PROXY", "proxy:1"), ("NO_PROXY", list)];
        for uri in exempt {
            assert_eq!(proxy(uri, &vars(list)), None, "{uri}");
            assert_eq!(proxy(uri, &vars("*")), None);
        }
        for uri in proxied {
            assert_eq!(proxy(uri, &vars(list)), named("proxy", 1), "{uri}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_an_error() {
        let wrong = find(&Target::parse("ws://a").unwrap(), |_| {
            Some("ftp://x".into())
        });
        assert_eq!(wrong.unwrap_err().kind(), "proxy.scheme");
    }
}
