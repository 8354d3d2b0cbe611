//! Messages: text and binary (RFC 6455 section 5.6).

use bytes::Bytes;
use std::fmt;
use std::ops::Deref;
use std::str::Utf8Error;
use tungstenite::protocol::frame::Utf8Bytes;

/// A complete data message. Cloning shares the payload.
///
/// # Examples
///
/// ```
/// use wsync::Message;
///
/// let message = Message::from("hello");
/// assert_eq!(message.as_text(), Some("hello"));
/// assert_eq!(Message::from(vec![1, 2, 3]).as_bytes(), [1, 2, 3]);
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Message {
    /// UTF-8 text.
    Text(Text),
    /// Bytes.
    Binary(Bytes),
}

/// Which of the two a data message is (RFC 6455 section 5.6).
///
/// # Examples
///
/// ```
/// use wsync::{Message, MessageKind};
///
/// assert_eq!(Message::from("hello").kind(), MessageKind::Text);
/// assert_eq!(Message::from(vec![1, 2, 3]).kind(), MessageKind::Binary);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
}

impl Message {
    /// Whether the message is text or binary.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Message, MessageKind};
    ///
    /// match Message::from("hello").kind() {
    ///     MessageKind::Text => println!("a line"),
    ///     MessageKind::Binary => println!("a picture"),
    /// }
    /// ```
    pub fn kind(&self) -> MessageKind {
        match self {
            Message::Text(_) => MessageKind::Text,
            Message::Binary(_) => MessageKind::Binary,
        }
    }

    /// The length of the payload, in bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Message;
    ///
    /// assert_eq!(Message::from("é").len(), 2, "bytes, not characters");
    /// ```
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Message;
    ///
    /// assert!(Message::from("").is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the message is text.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Message;
    ///
    /// assert!(Message::from("hello").is_text());
    /// assert!(!Message::from(b"hello").is_text());
    /// ```
    pub fn is_text(&self) -> bool {
        matches!(self, Message::Text(_))
    }

    /// Whether the message is binary.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Message;
    ///
    /// assert!(Message::from(b"hello").is_binary());
    /// assert!(!Message::from("hello").is_binary());
    /// ```
    pub fn is_binary(&self) -> bool {
        matches!(self, Message::Binary(_))
    }

    /// The text; `None` if the message is binary.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Message;
    ///
    /// assert_eq!(Message::from("hello").as_text(), Some("hello"));
    /// assert_eq!(Message::from(b"hello").as_text(), None);
    /// ```
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Message::Text(text) => Some(text),
            Message::Binary(_) => None,
        }
    }

    /// The payload, of either kind.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Message;
    ///
    /// assert_eq!(Message::from("hello").as_bytes(), b"hello");
    /// assert_eq!(Message::from(vec![1, 2, 3]).as_bytes(), [1, 2, 3]);
    /// ```
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }

    /// The payload, shared.
    pub(crate) fn to_bytes(&self) -> Bytes {
        self.clone().into_bytes()
    }

    /// The payload, without copying it.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Message;
    ///
    /// let mut bytes = Message::from("header:body").into_bytes();
    /// let header = bytes.split_to(7);
    /// assert_eq!((&header[..], &bytes[..]), (&b"header:"[..], &b"body"[..]));
    /// ```
    pub fn into_bytes(self) -> Bytes {
        match self {
            Message::Text(text) => text.into_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Message {
    /// Shows the kind and the length, never the payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({} bytes)", self.kind(), self.len())
    }
}

/// UTF-8 text in shared bytes: cloning does not copy. Derefs to `str`.
///
/// # Examples
///
/// ```
/// use wsync::Text;
///
/// let text = Text::from("héllo");
/// assert_eq!(text.to_uppercase(), "HÉLLO");
/// assert!(Text::try_from(vec![0xff]).is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Text(Utf8Bytes);

impl Text {
    /// Text that lives as long as the program, not copied.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Message, Text};
    ///
    /// const PING: Text = Text::from_static("ping");
    /// assert_eq!(Message::from(PING).as_text(), Some("ping"));
    /// ```
    pub const fn from_static(text: &'static str) -> Self {
        Text(Utf8Bytes::from_static(text))
    }

    /// The text.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Text;
    ///
    /// let text = Text::from("left,right");
    /// assert_eq!(text.as_str().split_once(','), Some(("left", "right")));
    /// ```
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Its bytes, without copying them.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::Text;
    ///
    /// assert_eq!(Text::from("é").into_bytes(), "é".as_bytes());
    /// ```
    pub fn into_bytes(self) -> Bytes {
        self.0.into()
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Text(text.into())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text(text.into())
    }
}

impl TryFrom<Bytes> for Text {
    type Error = Utf8Error;

    fn try_from(bytes: Bytes) -> Result<Self, Utf8Error> {
        Utf8Bytes::try_from(bytes).map(Text)
    }
}

impl TryFrom<Vec<u8>> for Text {
    type Error = Utf8Error;

    fn try_from(bytes: Vec<u8>) -> Result<Self, Utf8Error> {
        Text::try_from(Bytes::from(bytes))
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

macro_rules! message_from {
    ($($source:ty => $value:ident: $message:expr,)*) => {$(
        impl From<$source> for Message {
            fn from($value: $source) -> Self {
                $message
            }
        }
    )*};
}

message_from! {
    Text => text: Message::Text(text),
    String => text: Message::Text(text.into()),
    &String => text: Message::Text(text.as_str().into()),
    &str => text: Message::Text(text.into()),
    Bytes => bytes: Message::Binary(bytes),
    Vec<u8> => bytes: Message::Binary(bytes.into()),
    &[u8] => bytes: Message::Binary(Bytes::copy_from_slice(bytes)),
}

impl<const N: usize> From<&[u8; N]> for Message {
    fn from(bytes: &[u8; N]) -> Self {
        Message::from(bytes.as_slice())
    }
}
