//! What browsers and servers say to each other: JSON in text messages. And the bounds of it.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};
use wsync::Message;

/// In characters.
pub const LONGEST_TEXT: usize = 2000;
pub const LONGEST_NAME: usize = 40;
pub const LONGEST_NONCE: usize = 64;

/// What a browser says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum FromClient {
    /// A message to its room. A browser that says it again, because nothing told it that it had arrived, uses
    /// the same nonce.
    Say { nonce: String, text: String },
}

/// What a server says.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ToClient<'a> {
    /// The first of all.
    Welcome {
        server: &'a str,
        room: &'a str,
        name: &'a str,
    },
    /// A message, to everybody in the room; to the one who said it, that it was accepted.
    Said(&'a Said),
    /// What came before is not all that was said.
    Gap,
    /// Who is in the room.
    Here { names: &'a [String] },
    /// Something was not accepted.
    Error {
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        nonce: Option<&'a str>,
    },
}

impl ToClient<'_> {
    pub fn to_message(&self) -> Message {
        let json = serde_json::to_string(self);
        json.expect("strings and numbers are always JSON").into()
    }
}

/// A message that has no place in the order yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    pub room: String,
    pub nonce: String,
    pub from: String,
    pub text: String,
    /// Milliseconds since 1970.
    pub at: i64,
}

/// A message with its place in the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Said {
    pub id: Id,
    #[serde(flatten)]
    pub draft: Draft,
}

/// The place of a message: a later one is greater, on all servers that share a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Id {
    pub major: i64,
    pub minor: i64,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.major, self.minor)
    }
}

impl FromStr for Id {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('-');
        let id = parts.and_then(|(major, minor)| {
            Some(Id {
                major: major.parse().ok()?,
                minor: minor.parse().ok()?,
            })
        });
        id.filter(|id| id.minor >= 0).ok_or("not an id")
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// Milliseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}

/// What a browser said, if it is within the bounds.
pub fn check_say(nonce: &str, text: &str) -> Result<(), &'static str> {
    let printable = nonce.bytes().all(|byte| byte.is_ascii_graphic());
    if nonce.is_empty() || nonce.len() > LONGEST_NONCE || !printable {
        return Err("a nonce has 1 to 64 visible characters of ASCII");
    }
    if text.trim().is_empty() {
        return Err("there is no text");
    }
    if text.chars().count() > LONGEST_TEXT {
        return Err("a text has at most 2000 characters");
    }
    Ok(())
}

pub fn check_room(room: &str) -> Result<(), &'static str> {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    match is_short(room) && room.chars().all(allowed) {
        true => Ok(()),
        false => Err("a room has 1 to 40 letters, digits, '-', '_' and '.'"),
    }
}

pub fn check_name(name: &str) -> Result<(), &'static str> {
    let allowed = |c: char| !c.is_control() && c != char::REPLACEMENT_CHARACTER;
    match is_short(name) && name.trim() == name && name.chars().all(allowed) {
        true => Ok(()),
        false => Err("a name has 1 to 40 characters, none of them for control"),
    }
}

fn is_short(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ordered_by_number_and_not_by_digits() {
        let id = |text: &str| text.parse::<Id>().unwrap();
        assert!(id("9-0") < id("10-0"));
        assert!(id("10-9") < id("10-10"));
        assert_eq!(id("10-9").to_string(), "10-9");
        for text in [
            "",
            "1",
            "-",
            "1-",
            "-1",
            "1-x",
            "1--1",
            "99999999999999999999-0",
        ] {
            assert!(text.parse::<Id>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_beyond_the_bounds_is_refused() {
        let long = |n| "ä".repeat(n);
        assert!(check_say("n", &long(2000)).is_ok());
        assert!(check_say("n", &long(2001)).is_err());
        assert!(check_say("n", " \n").is_err());
        assert!(check_say("", "text").is_err());
        assert!(check_say("a b", "text").is_err());
        assert!(check_say(&"n".repeat(65), "text").is_err());
        assert!(check_name(&long(40)).is_ok());
        for name in ["", " a", "a\u{7}", "\u{fffd}", &long(41)] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_room("Größe_1.2-3").is_ok());
        for room in ["", "a b", "a/b", "a\0", &long(41)] {
            assert!(check_room(room).is_err(), "{room}");
        }
    }

    #[test]
    fn messages_have_the_form_that_is_documented() {
        let draft = Draft {
            room: "tea".into(),
            nonce: "n1".into(),
            from: "Ann".into(),
            text: "\"</script>".into(),
            at: 7,
        };
        let id = Id { major: 5, minor: 1 };
        let said = ToClient::Said(&Said { id, draft }).to_message();
        let json = r#"{"type":"said","id":"5-1","room":"tea","nonce":"n1","from":"Ann","text":"\"</script>","at":7}"#;
        assert_eq!(said.as_text(), Some(json));
        assert_eq!(
            ToClient::Gap.to_message().as_text(),
            Some(r#"{"type":"gap"}"#)
        );
        assert!(serde_json::from_str::<FromClient>(r#"{"type":"shout"}"#).is_err());
    }
}
