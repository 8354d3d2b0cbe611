//! Sockets that systemd has opened.

use super::Listener;
use crate::error::Error;
use listenfd::ListenFd;
use std::sync::atomic::{AtomicBool, Ordering};

impl Listener {
    /// The sockets that systemd, or whoever else does as it does, has opened for this process, in their
    /// order (`sd_listen_fds(3)`). There are none if it was started in another way.
    ///
    /// They are handed over once: a second call finds none. When the server stops, systemd keeps them, and
    /// those who come then wait for the next start of the service.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] for a descriptor that is no stream socket of TCP or Unix.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use wsync::{Listener, Server};
    ///
    /// let mut server = Server::builder();
    /// for listener in Listener::from_systemd()? {
    ///     server = server.listen(listener);
    /// }
    /// server.build()?.serve(|ws| drop(ws.send("hello")))?;
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn from_systemd() -> Result<Vec<Listener>, Error> {
        static HANDED_OVER: AtomicBool = AtomicBool::new(false);
        if HANDED_OVER.swap(true, Ordering::SeqCst) {
            return Ok(Vec::new());
        }
        let mut given = ListenFd::from_env();
        let mut listeners = Vec::with_capacity(given.len());
        for at in 0..given.len() {
            if let Ok(Some(listener)) = given.take_tcp_listener(at) {
                listeners.push(listener.into());
            } else if let Some(listener) = given.take_unix_listener(at)? {
                listeners.push(listener.into());
            }
        }
        Ok(listeners)
    }
}
