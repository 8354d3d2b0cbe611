//! Cookies of a request (RFC 6265 section 4.2).

use super::upgrade::Upgrade;
use http::header::COOKIE;

impl Upgrade {
    /// The cookies that came with the request: names and values, as they came. A cookie is set by a header
    /// of the answer: [`Accept::header`](crate::Accept::header), or that of a response to
    /// [`respond`](Self::respond) with.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{Accept, Error, Upgrade, WebSocket};
    ///
    /// # let server = wsync::Server::bind("127.0.0.1:0")?;
    /// # let url = format!("ws://{}/", server.local_addr());
    /// # let client = std::thread::spawn(move || wsync::connect(&url));
    /// # let mut incoming = server.incoming()?;
    /// # let upgrade = incoming.next().expect("a client comes");
    /// fn open(upgrade: Upgrade) -> Result<WebSocket, Error> {
    ///     if upgrade.cookies().any(|(name, _)| name == "session") {
    ///         return upgrade.accept();
    ///     }
    ///     let first = "session=31d4d96e407aad42; Path=/; Secure; HttpOnly";
    ///     upgrade.accept_with(Accept::new().header("Set-Cookie", first))
    /// }
    /// # assert!(open(upgrade)?.response().headers().contains_key("Set-Cookie"));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.request().headers().get_all(COOKIE).iter();
        lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim()))
    }
}
