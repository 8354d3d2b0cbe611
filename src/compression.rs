//! Compression of messages: permessage-deflate (RFC 7692).

use crate::message::Message;
use crate::protocol::{DeflateSettings, Deflater, Part, Role};
use bytes::Bytes;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// How to compress messages, by permessage-deflate (RFC 7692), if the peer agrees. Off unless it is
/// asked for: it costs memory and time on both sides. Needs the feature `deflate`, which is a default.
///
/// With the defaults each side refers to what was in the messages before ("context takeover"), which
/// is what makes small messages of the same kind small, and keeps its memory between them: about
/// 48 KB to inflate and, by window and `mem_level`, 137 KB to 495 KB to deflate (165 KB with the
/// defaults of a server), each from the first compressed message on. Without takeover a connection
/// has that memory only while a message passes; the process keeps up to eight of either kind to use
/// again. Of two bounds of a window the smaller one holds, and there is no takeover where either side
/// asks for none.
///
/// [`Limits::message`](crate::Limits::message) and the queue count what a message is after inflating,
/// [`Limits::frame`](crate::Limits::frame) what comes on the wire. Beside secrets, bytes that an
/// attacker chose should not be compressed: the length tells of what they have in common
/// ([`SendOptions::compress`]).
///
/// # Examples
///
#[cfg_attr(feature = "deflate", doc = "```")]
#[cfg_attr(not(feature = "deflate"), doc = "```no_run")]
/// use wsync::{Compression, Server};
///
/// # let server = Server::builder().compression(Compression::server()).bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// let mut compression = Compression::client();
/// compression.level = 1;
/// let ws = wsync::ClientBuilder::new(&url).compression(compression).connect()?;
/// assert!(ws.compression().is_some(), "the server agrees");
/// ws.send("hello, hello, hello, hello, hello, hello, hello, hello, hello, hello")?;
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compression {
    /// From 1, the fastest, to 9, the smallest. Defaults to 3. The peer does not learn of it. Level 1
    /// makes small messages hardly smaller without context takeover, and random bytes up to 6 % larger
    /// with it.
    pub level: u8,
    /// Memory of the compressor, from 1 to 9. Defaults to 5. The peer does not learn of it.
    pub mem_level: u8,
    /// Messages below so many bytes are sent as they are, unless [`SendOptions::compress`] says
    /// otherwise. Defaults to 64.
    pub min_size: usize,
    /// How far back the server's references go at most, from 8 (256 bytes) to 15 (32 KiB). Defaults
    /// to 12 on a server; on a client to 15, which leaves it to the server. A server that can't
    /// keep to a client's bound does without compression (RFC 7692 section 7.1.2.1).
    pub server_max_window_bits: u8,
    /// The same for the client's references. A server asks for it only of clients that offer to keep
    /// to a bound (RFC 7692 section 7.1.2.2): those of others may go back 32 KiB. It does not save this
    /// side memory. Clients whose zlib cannot do 8, such as Python's, refuse it.
    pub client_max_window_bits: u8,
    /// The server's messages do not refer to those before (RFC 7692 section 7.1.1.1). Defaults to
    /// `false`.
    pub server_no_context_takeover: bool,
    /// The client's messages do not refer to those before (RFC 7692 section 7.1.1.2). Defaults to
    /// `false`.
    pub client_no_context_takeover: bool,
}

impl Compression {
    /// The defaults of a client: the server chooses the windows.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ClientBuilder, Compression};
    ///
    /// let mut compression = Compression::client();
    /// compression.server_no_context_takeover = true; // It saves this side the memory to inflate.
    /// let builder = ClientBuilder::new("wss://example.org/").compression(compression);
    /// ```
    pub fn client() -> Self {
        Compression {
            server_max_window_bits: MAX_WINDOW_BITS,
            client_max_window_bits: MAX_WINDOW_BITS,
            ..Compression::server()
        }
    }

    /// The defaults of a server: windows of 4 KiB.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Compression, Server};
    ///
    /// let mut compression = Compression::server();
    /// compression.min_size = 1024;
    /// let builder = Server::builder().compression(compression);
    /// ```
    pub fn server() -> Self {
        Compression {
            level: 3,
            mem_level: 5,
            min_size: 64,
            server_max_window_bits: 12,
            client_max_window_bits: 12,
            server_no_context_takeover: false,
            client_no_context_takeover: false,
        }
    }

    /// The rules that its values have to keep, each with what breaks it.
    pub(crate) fn rules(&self) -> [(bool, &'static str); 4] {
        let bits = [self.server_max_window_bits, self.client_max_window_bits];
        [
            (
                cfg!(feature = "deflate"),
                "compression without the feature deflate",
            ),
            (
                (1..=9).contains(&self.level),
                "a compression level that is not 1 to 9",
            ),
            (
                (1..=9).contains(&self.mem_level),
                "a mem_level that is not 1 to 9",
            ),
            (
                bits.iter().all(|bits| WINDOW_BITS.contains(bits)),
                "window bits that are not 8 to 15",
            ),
        ]
    }
}

/// Window bits that can be agreed on (RFC 7692 section 7.1.2).
pub(crate) const WINDOW_BITS: std::ops::RangeInclusive<u8> = 8..=MAX_WINDOW_BITS;

/// What holds where no window bits are agreed on: 32 KiB, the most that DEFLATE has.
pub(crate) const MAX_WINDOW_BITS: u8 = 15;

/// What the two sides agreed on (RFC 7692 section 7.1): [`WebSocket::compression`].
///
/// [`WebSocket::compression`]: crate::WebSocket::compression
///
/// # Examples
///
#[cfg_attr(feature = "deflate", doc = "```")]
#[cfg_attr(not(feature = "deflate"), doc = "```no_run")]
/// use wsync::{ClientBuilder, Compression, Server};
///
/// let mut compression = Compression::server();
/// compression.server_no_context_takeover = true;
/// let server = Server::builder().compression(compression).bind("127.0.0.1:0")?;
/// let url = format!("ws://{}/", server.local_addr());
/// std::thread::spawn(move || server.serve(|ws| drop(ws.recv())));
///
/// let ws = ClientBuilder::new(&url).compression(Compression::client()).connect()?;
/// let agreed = ws.compression().ok_or("no compression")?;
/// assert_eq!(agreed.server_max_window_bits, 12);
/// assert!(agreed.server_no_context_takeover && !agreed.client_no_context_takeover);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeflateParams {
    /// How far back the server's references go at most, in bits.
    pub server_max_window_bits: u8,
    /// How far back the client's references go at most, in bits. A client keeps to what it offered even
    /// if the server did not take it up, so a server may know of a larger bound (RFC 7692 section
    /// 7.1.2.2).
    pub client_max_window_bits: u8,
    /// The server's messages do not refer to those before.
    pub server_no_context_takeover: bool,
    /// The client's messages do not refer to those before.
    pub client_no_context_takeover: bool,
}

impl DeflateParams {
    /// Whether the messages that `role` receives refer to those before.
    pub(crate) fn peer_takes_over(&self, role: Role) -> bool {
        match role {
            Role::Client => !self.server_no_context_takeover,
            Role::Server => !self.client_no_context_takeover,
        }
    }
}

/// How one message is sent: [`Sender::send_with`](crate::Sender::send_with).
///
/// # Examples
///
/// A picture that is compressed already:
///
/// ```
/// use wsync::SendOptions;
///
/// # let server = wsync::Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr());
/// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
/// # let (sender, _receiver) = wsync::connect(&url)?.split();
/// # let picture = vec![0; 100];
/// sender.send_with(picture, SendOptions::new().compress(false))?;
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SendOptions {
    compress: Option<bool>,
}

impl SendOptions {
    /// Those of [`Sender::send`](crate::Sender::send).
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::SendOptions;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// let options = SendOptions::new();
    /// assert_eq!(options, SendOptions::default());
    /// ws.send_with("as any other", options)?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn new() -> Self {
        SendOptions::default()
    }

    /// Whether to compress it, whatever its size, if compression was agreed on. Unless this is said,
    /// messages of [`Compression::min_size`] bytes and more are compressed. Without context takeover
    /// one that gets no smaller may be sent as it is.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::SendOptions;
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # std::thread::spawn(move || server.serve(|ws| ws.iter().flatten().for_each(|m| drop(ws.send(m)))));
    /// # let ws = wsync::connect(&url)?;
    /// let always = SendOptions::new().compress(true);
    /// ws.send_with("small, but like the one before", always)?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    #[must_use]
    pub fn compress(mut self, compress: bool) -> Self {
        self.compress = Some(compress);
        self
    }
}

/// How a connection compresses what it sends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compressing {
    pub(crate) settings: DeflateSettings,
    /// Messages refer to those before.
    pub(crate) takeover: bool,
    min_size: usize,
}

impl Compressing {
    pub(crate) fn new(compression: &Compression, agreed: &DeflateParams, role: Role) -> Self {
        let (window_bits, no_takeover) = match role {
            Role::Client => (
                agreed.client_max_window_bits,
                agreed.client_no_context_takeover,
            ),
            Role::Server => (
                agreed.server_max_window_bits,
                agreed.server_no_context_takeover,
            ),
        };
        Compressing {
            settings: DeflateSettings {
                level: compression.level,
                window_bits,
                mem_level: compression.mem_level,
            },
            takeover: !no_takeover,
            min_size: compression.min_size,
        }
    }

    /// Whether a message of so many bytes, if that is known, is to be compressed.
    pub(crate) fn wants(&self, length: Option<usize>, options: SendOptions) -> bool {
        let by_size = length.is_none_or(|length| length >= self.min_size);
        options.compress.unwrap_or(by_size)
    }
}

/// A message without context, compressed. `None` if it does not get smaller.
pub(crate) fn compress_alone(message: &[u8], settings: DeflateSettings) -> Option<Bytes> {
    let mut out = Vec::new();
    Deflater::new(settings).deflate(message, Part::Last, &mut out);
    (out.len() < message.len()).then(|| out.into())
}

/// A message for many peers, compressed at most once for all those with the same settings and without
/// context takeover: [`Sender::send_prepared`](crate::Sender::send_prepared). Cloning is cheap.
///
/// # Examples
///
/// ```
/// use wsync::{PreparedMessage, Sender};
///
/// fn broadcast(senders: &[Sender], news: &str) {
///     let message = PreparedMessage::new(news);
///     for sender in senders {
///         if let Err(error) = sender.send_prepared(&message) {
///             println!("one is gone: {error}");
///         }
///     }
/// }
/// ```
#[derive(Clone)]
pub struct PreparedMessage {
    message: Message,
    compressed: Arc<Mutex<Vec<Variant>>>,
}

/// What a message is with these settings, once somebody has asked.
type Variant = (DeflateSettings, Arc<OnceLock<Option<Bytes>>>);

impl PreparedMessage {
    /// A message to send to many. Nothing is compressed yet.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::PreparedMessage;
    ///
    /// let picture = PreparedMessage::new(vec![0; 1000]);
    /// let another = picture.clone(); // Shares the bytes.
    /// assert_eq!(another.message().len(), 1000);
    /// ```
    pub fn new(message: impl Into<Message>) -> Self {
        PreparedMessage {
            message: message.into(),
            compressed: Arc::default(),
        }
    }

    /// The message.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::PreparedMessage;
    ///
    /// let news = PreparedMessage::new("it rains");
    /// assert_eq!(news.message().as_text(), Some("it rains"));
    /// ```
    pub fn message(&self) -> &Message {
        &self.message
    }

    pub(crate) fn compressed(&self, settings: DeflateSettings) -> Option<Bytes> {
        let mut variants = self
            .compressed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let variant = match variants.iter().find(|(known, _)| *known == settings) {
            Some((_, variant)) => Arc::clone(variant),
            None => {
                let variant = Arc::default();
                variants.push((settings, Arc::clone(&variant)));
                variant
            }
        };
        drop(variants);
        // Who comes meanwhile waits for the one result.
        variant
            .get_or_init(|| compress_alone(self.message.as_bytes(), settings))
            .clone()
    }
}

impl fmt::Debug for PreparedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PreparedMessage")
            .field(&self.message)
            .finish()
    }
}
