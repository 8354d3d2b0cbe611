//! Digest authentication (RFC 7616): a challenge, and the answers to it.

use super::Credentials;
use data_encoding::HEXLOWER;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue};
use md5::{Digest, Md5};
use sha2::{Sha256, Sha512_256};

/// What a server asks for. Its answers count themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// With H(A1) anew for each session.
    session: bool,
    /// Quality of protection: without it, as in RFC 2069.
    auth: bool,
    /// The user's name is not to be seen.
    userhash: bool,
    /// Answers so far.
    count: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Md5,
    Sha256,
    Sha512_256,
}

impl Challenge {
    /// The first that can be answered (RFC 7616 section 3.7): the server names them as it likes them.
    pub(crate) fn find(headers: &HeaderMap) -> Option<Self> {
        let lines = headers.get_all(WWW_AUTHENTICATE).iter();
        lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(challenges)
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Digest"))
            .find_map(|(_, params)| Challenge::new(&params))
    }

    fn new(params: &Params) -> Option<Self> {
        let get = |name: &str| {
            let found = params.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone())
        };
        let name = get("algorithm")
            .unwrap_or("MD5".into())
            .to_ascii_uppercase();
        let (name, session) = match name.strip_suffix("-SESS") {
            Some(name) => (name, true),
            None => (&*name, false),
        };
        let algorithm = match name {
            "MD5" => Algorithm::Md5,
            "SHA-256" => Algorithm::Sha256,
            "SHA-512-256" => Algorithm::Sha512_256,
            _ => return None,
        };
        let qop = get("qop");
        let is_auth = |qop: &str| qop.trim().eq_ignore_ascii_case("auth");
        if !qop.as_ref().is_none_or(|qop| qop.split(',').any(is_auth)) {
            return None;
        }
        Some(Challenge {
            realm: get("realm")?,
            nonce: get("nonce")?,
            opaque: get("opaque"),
            algorithm,
            session,
            auth: qop.is_some(),
            userhash: get("userhash").is_some_and(|value| value.eq_ignore_ascii_case("true")),
            count: 0,
        })
    }

    /// The value of an Authorization header for a GET of this resource; `None` if it would not be one.
    pub(crate) fn answer(&mut self, who: &Credentials, resource: &str) -> Option<HeaderValue> {
        let nonce = HEXLOWER.encode(&rand::random::<[u8; 16]>());
        self.answer_with(who, resource, &nonce)
    }

    fn answer_with(&mut self, who: &Credentials, uri: &str, cnonce: &str) -> Option<HeaderValue> {
        self.count += 1;
        let (count, nonce) = (format!("{:08x}", self.count), &self.nonce);
        let secret = [
            &who.user,
            &b":"[..],
            self.realm.as_bytes(),
            b":",
            &who.password,
        ]
        .concat();
        let mut secret = self.algorithm.hash(&secret);
        if self.session {
            let parts = format!("{secret}:{nonce}:{cnonce}");
            secret = self.algorithm.hash(parts.as_bytes());
        }
        let request = self.algorithm.hash(format!("GET:{uri}").as_bytes());
        let response = match self.auth {
            true => format!("{secret}:{nonce}:{count}:{cnonce}:auth:{request}"),
            false => format!("{secret}:{nonce}:{request}"),
        };
        let response = self.algorithm.hash(response.as_bytes());
        let mut value = format!(
            "Digest {}, realm=\"{}\", uri=\"{}\", algorithm={}{}, nonce=\"{}\", response=\"{response}\"",
            self.username(&who.user),
            escaped(&self.realm),
            escaped(uri),
            self.algorithm.name(),
            if self.session { "-sess" } else { "" },
            escaped(nonce),
        );
        if self.auth {
            value.push_str(&format!(", qop=auth, nc={count}"));
        }
        if self.auth || self.session {
            value.push_str(&format!(", cnonce=\"{cnonce}\""));
        }
        if let Some(opaque) = &self.opaque {
            value.push_str(&format!(", opaque=\"{}\"", escaped(opaque)));
        }
        if self.userhash {
            value.push_str(", userhash=true");
        }
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// RFC 7616 sections 3.4 and 3.4.4; a name that is not ASCII as in RFC 8187 section 3.2.
    fn username(&self, user: &[u8]) -> String {
        if self.userhash {
            let hash = self
                .algorithm
                .hash(&[user, b":", self.realm.as_bytes()].concat());
            return format!("username=\"{hash}\"");
        }
        match std::str::from_utf8(user)
            .ok()
            .filter(|user| user.is_ascii())
        {
            Some(user) => format!("username=\"{}\"", escaped(user)),
            None => format!("username*=UTF-8''{}", percent_encoded(user)),
        }
    }
}

impl Algorithm {
    fn hash(self, bytes: &[u8]) -> String {
        match self {
            Algorithm::Md5 => HEXLOWER.encode(&Md5::digest(bytes)),
            Algorithm::Sha256 => HEXLOWER.encode(&Sha256::digest(bytes)),
            Algorithm::Sha512_256 => HEXLOWER.encode(&Sha512_256::digest(bytes)),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha512_256 => "SHA-512-256",
        }
    }
}

/// Names and values.
type Params = Vec<(String, String)>;

/// The challenges of a line (RFC 9110 section 11.6.1): commas stand between them, and between their
/// parameters.
fn challenges(line: &str) -> Vec<(String, Params)> {
    let mut found: Vec<(String, Params)> = Vec::new();
    for element in elements(line) {
        let mut param = element;
        let scheme = match element.split_once([' ', '\t']) {
            Some((first, rest)) if !first.contains('=') && !rest.trim_start().starts_with('=') => {
                param = rest.trim();
                Some(first)
            }
            None if !element.contains('=') => Some(element),
            _ => None,
        };
        if let Some(scheme) = scheme {
            found.push((scheme.to_owned(), Vec::new()));
        }
        if let (Some((_, params)), Some((name, value))) = (found.last_mut(), param.split_once('='))
        {
            params.push((name.trim().to_owned(), unquoted(value.trim())));
        }
    }
    found
}

/// What is between commas that are not quoted.
fn elements(line: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    let split = move |c: char| {
        let literal = std::mem::replace(&mut escaped, false);
        match c {
            _ if literal => return false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        c == ',' && !quoted
    };
    line.split(split)
        .map(str::trim)
        .filter(|element| !element.is_empty())
}

/// RFC 9110 section 5.6.4.
fn unquoted(value: &str) -> String {
    let Some(quoted) = value.strip_prefix('"') else {
        return value.to_owned();
    };
    let mut text = String::new();
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => text.extend(chars.next()),
            c => text.push(c),
        }
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

fn percent_encoded(bytes: &[u8]) -> String {
    let encode = |&byte: &u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    bytes.iter().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(lines: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(WWW_AUTHENTICATE, line.parse().unwrap());
        }
        Challenge::find(&headers)
    }

    fn credentials(user: &str, password: &str) -> Credentials {
        Credentials::new(user.into(), password.into()).unwrap()
    }

    fn answer(challenge: &str, who: &Credentials, uri: &str, cnonce: &str) -> String {
        let mut challenge = find(&[challenge]).unwrap();
        let value = challenge.answer_with(who, uri, cnonce).unwrap();
        assert!(value.is_sensitive());
        value.to_str().unwrap().to_owned()
    }

    /// RFC 7616 section 3.9.1.
    #[test]
    fn the_first_example_of_the_rfc_is_answered_as_there() {
        let who = credentials("Mufasa", "Circle of Life");
        let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let opaque = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS";
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            (
                "SHA-256",
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
        ] {
            let challenge = format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", \
                 algorithm={algorithm}, nonce=\"{nonce}\", opaque=\"{opaque}\""
            );
            assert_eq!(
                answer(&challenge, &who, "/dir/index.html", cnonce),
                format!(
                    "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", \
                     uri=\"/dir/index.html\", algorithm={algorithm}, nonce=\"{nonce}\", \
                     response=\"{response}\", qop=auth, nc=00000001, cnonce=\"{cnonce}\", \
                     opaque=\"{opaque}\""
                )
            );
        }
    }

    /// RFC 7616 section 3.9.2, whose hashes erratum 4897 puts right.
    #[test]
    fn the_example_with_a_hidden_name_is_answered_as_its_erratum_says() {
        let challenge = "Digest realm=\"api@example.org\", qop=\"auth\", algorithm=SHA-512-256, \
             nonce=\"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK\", \
             opaque=\"HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS\", charset=UTF-8, userhash=true";
        let who = credentials("J\u{e4}s\u{f8}n Doe", "Secret, or not?");
        let value = answer(
            challenge,
            &who,
            "/doe.json",
            "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
        );
        for part in [
            "username=\"793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b\"",
            "response=\"3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5\"",
            "userhash=true",
        ] {
            assert!(value.contains(part), "{value}");
        }
    }

    /// RFC 2069 section 2.4, with its erratum 749.
    #[test]
    fn without_a_quality_of_protection_the_answer_is_that_of_before() {
        let challenge = "digest REALM=\"testrealm@host.com\", \
             nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"";
        let value = answer(
            challenge,
            &credentials("Mufasa", "CircleOfLife"),
            "/dir/index.html",
            "x",
        );
        assert!(
            value.contains("response=\"1949323746fe6a43ef61f9606e7febea\"")
                && !value.contains("nc="),
            "{value}"
        );
    }

    #[test]
    fn answers_are_counted_and_their_nonces_differ() {
        let mut challenge = find(&["Digest realm=\"r\", nonce=\"n\", qop=auth"]).unwrap();
        let who = credentials("user", "password");
        let mut values = Vec::new();
        for count in 1..4 {
            let value = challenge.answer(&who, "/").unwrap();
            let value = value.to_str().unwrap().to_owned();
            assert!(value.contains(&format!("nc=0000000{count},")), "{value}");
            values.extend(value.split("cnonce=").nth(1).map(str::to_owned));
        }
        values.dedup();
        assert_eq!(values.len(), 3);
    }

    #[test]
    fn a_name_that_is_not_ascii_is_encoded_and_quotes_are_escaped() {
        let challenge = "Digest realm=\"a \\\"b\\\", \\\\c\", nonce=n, qop=auth";
        let value = answer(challenge, &credentials("M\u{fc}ller", "p"), "/", "x");
        assert!(value.contains("username*=UTF-8''M%C3%BCller,"), "{value}");
        assert!(value.contains("realm=\"a \\\"b\\\", \\\\c\","), "{value}");
    }

    #[test]
    fn the_first_challenge_that_can_be_answered_is_taken() {
        let realm = |lines: &[&str]| find(lines).map(|challenge| challenge.realm);
        let md5 = "Digest realm=\"md5\", nonce=\"n\", qop=\"auth\"";
        for lines in [
            &[md5][..],
            &["Basic realm=\"x, y\"", md5],
            &["Digest realm=sha, nonce=n, algorithm=SHA-1", md5],
            &["Digest realm=\"int\", nonce=\"n\", qop=\"auth-int\"", md5],
            &["Negotiate", "Bearer abc==, NTLM", md5],
            &[
                "Digest realm=\"no nonce\"",
                "Digest nonce=\"no realm\"",
                md5,
            ],
        ] {
            assert_eq!(realm(lines).as_deref(), Some("md5"), "{lines:?}");
            let one_line = lines.join(", ");
            assert_eq!(realm(&[&one_line]).as_deref(), Some("md5"), "{one_line}");
        }
        for none in [
            "",
            "Digest",
            "Basic realm=x, nonce=n",
            ",,=\"",
            "Digest realm=\"x, nonce=n",
        ] {
            assert_eq!(realm(&[none]), None, "{none}");
        }
    }
}
