//! Cookies that servers give, and that go back to them (RFC 6265).

use crate::error::{Error, Misuse};
use crate::uri::Target;
use cookie_store::{Cookie, CookieDomain, CookieStore};
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use url::Url;

/// Cookies of servers, for [`ClientBuilder::cookie_jar`](crate::ClientBuilder::cookie_jar). Clones are the
/// same jar, so clients can share one.
///
/// Domain, path, lifetime and `Secure` hold as in RFC 6265; `ws` counts as `http` and `wss` as `https`, and
/// `Secure` cookies are taken and given over `wss` only. The jar has no list of public suffixes: it refuses
/// a cookie for a whole top-level domain such as `com`, but not one for `co.uk`, so servers that must not
/// know of each other's cookies need jars of their own. It keeps cookies of up to 4096 bytes, up to 50 of a
/// domain and 3000 in all, in memory only.
///
/// # Examples
///
/// ```
/// use wsync::CookieJar;
///
/// let jar = CookieJar::new();
/// jar.set("wss://example.org/login", "session=31d4; Path=/; Secure")?;
/// assert_eq!(jar.cookies("wss://example.org/feed")?.as_deref(), Some("session=31d4"));
/// assert_eq!(jar.cookies("ws://example.org/feed")?, None);
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct CookieJar(Arc<Mutex<CookieStore>>);

impl CookieJar {
    /// An empty jar.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::{ClientBuilder, CookieJar};
    ///
    /// let jar = CookieJar::new();
    /// let feed = ClientBuilder::new("wss://example.org/feed").cookie_jar(jar.clone());
    /// let chat = ClientBuilder::new("wss://example.org/chat").cookie_jar(jar);
    /// ```
    pub fn new() -> Self {
        CookieJar::default()
    }

    /// Takes a cookie, as if the server at `uri` had sent it in a `Set-Cookie` header.
    ///
    /// # Errors
    ///
    /// [`Error::Uri`]; [`Misuse::Cookie`] for one that is none, that this address may not set, or for which
    /// there is no room. One that has expired already takes back what the jar has, and is no error.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::CookieJar;
    ///
    /// let jar = CookieJar::new();
    /// jar.set("ws://example.org/", "theme=dark; Path=/")?;
    /// assert!(jar.set("ws://example.org/", "theme=dark; Domain=example.com").is_err());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn set(&self, uri: impl AsRef<str>, set_cookie: impl AsRef<str>) -> Result<(), Error> {
        let target = Target::parse(uri.as_ref())?;
        let set_cookie = set_cookie.as_ref();
        // What a header could not have must not get into one later.
        HeaderValue::from_str(set_cookie).map_err(|_| Misuse::Cookie)?;
        let url = url_of(&target).ok_or(Misuse::Cookie)?;
        self.take(&target, &url, set_cookie).ok_or(Misuse::Cookie)?;
        Ok(())
    }

    /// The cookies for an address, as a `Cookie` header has them.
    ///
    /// # Errors
    ///
    /// [`Error::Uri`].
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::CookieJar;
    ///
    /// let jar = CookieJar::new();
    /// jar.set("ws://example.org/", "a=1")?;
    /// jar.set("ws://example.org/", "b=2")?;
    /// assert_eq!(jar.cookies("ws://example.org/")?.as_deref(), Some("a=1; b=2"));
    /// assert_eq!(jar.cookies("ws://example.com/")?, None);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn cookies(&self, uri: impl AsRef<str>) -> Result<Option<String>, Error> {
        Ok(self.line(&Target::parse(uri.as_ref())?))
    }

    /// How many cookies there are that have not expired.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::CookieJar;
    ///
    /// let jar = CookieJar::new();
    /// jar.set("ws://example.org/", "a=1")?;
    /// assert_eq!(jar.len(), 1);
    /// jar.set("ws://example.org/", "a=1; Max-Age=0")?;
    /// assert_eq!(jar.len(), 0, "it was taken back");
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn len(&self) -> usize {
        self.lock().iter_unexpired().count()
    }

    /// Whether there is no cookie that has not expired.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::CookieJar;
    ///
    /// let jar = CookieJar::new();
    /// assert!(jar.is_empty());
    /// jar.set("ws://example.org/", "a=1")?;
    /// assert!(!jar.is_empty());
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all cookies.
    ///
    /// # Examples
    ///
    /// Logging out:
    ///
    /// ```
    /// use wsync::CookieJar;
    ///
    /// let jar = CookieJar::new();
    /// jar.set("wss://example.org/", "session=31d4")?;
    /// jar.clear();
    /// assert_eq!(jar.cookies("wss://example.org/")?, None);
    /// # Ok::<(), wsync::Error>(())
    /// ```
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Joins those for the target and those that are there already in one line (RFC 6265 section 5.4).
    pub(super) fn add_to(&self, headers: &mut HeaderMap, target: &Target) {
        let Some(line) = self.line(target) else {
            return;
        };
        let by_hand = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
        let lines: Vec<_> = by_hand.chain([line.as_bytes()]).collect();
        if let Ok(mut value) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
            value.set_sensitive(true);
            headers.insert(COOKIE, value);
        }
    }

    /// Takes what a response sets.
    pub(super) fn take_from(&self, headers: &HeaderMap, target: &Target) {
        let mut lines = headers.get_all(SET_COOKIE).iter().peekable();
        if lines.peek().is_none() {
            return;
        }
        let Some(url) = url_of(target) else {
            return;
        };
        for line in lines {
            let text = std::str::from_utf8(line.as_bytes()).ok();
            if text
                .and_then(|text| self.take(target, &url, text))
                .is_none()
            {
                log::debug!("a cookie of {} was not taken", target.host());
            }
        }
    }

    /// The longest paths first (RFC 6265 section 5.4).
    fn line(&self, target: &Target) -> Option<String> {
        let url = url_of(target)?;
        let store = self.lock();
        let mut found = store.matches(&url);
        // The store takes plain HTTP of this machine for secure.
        found.retain(|cookie| may_pass(cookie, target));
        found.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<_> = found
            .iter()
            .map(|cookie| format!("{}={}", cookie.name(), cookie.value()))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    fn take(&self, target: &Target, url: &Url, set_cookie: &str) -> Option<()> {
        let cookie = Cookie::parse(set_cookie, url).ok()?.into_owned();
        let size = cookie.name().len() + cookie.value().len();
        let wide = match &cookie.domain {
            CookieDomain::Suffix(domain) => !domain.contains('.') && domain != target.host(),
            _ => false,
        };
        if size > LONGEST || wide || !may_pass(&cookie, target) {
            return None;
        }
        let over = cookie.is_expired();
        let mut store = self.lock();
        if !over && !has_room(&mut store, &cookie) {
            return None;
        }
        (store.insert(cookie, url).is_ok() || over).then_some(())
    }

    fn lock(&self) -> MutexGuard<'_, CookieStore> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CookieJar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.len();
        f.debug_struct("CookieJar")
            .field("len", &len)
            .finish_non_exhaustive()
    }
}

/// Those that RFC 6265 section 6.1 asks for at least.
const LONGEST: usize = 4096;
const MOST_OF_DOMAIN: usize = 50;
const MOST: usize = 3000;

/// Whether there is room, once those that are over have gone.
fn has_room(store: &mut CookieStore, cookie: &Cookie<'_>) -> bool {
    let domain = String::from(&cookie.domain);
    if store.contains_any(&domain, &String::from(&cookie.path), cookie.name()) {
        return true;
    }
    let over: Vec<_> = store
        .iter_any()
        .filter(|cookie| cookie.is_expired())
        .map(|c| {
            (
                String::from(&c.domain),
                String::from(&c.path),
                c.name().to_owned(),
            )
        })
        .collect();
    for (domain, path, name) in over {
        store.remove(&domain, &path, &name);
    }
    let of_domain = |other: &&Cookie<'_>| String::from(&other.domain) == domain;
    store.iter_any().count() < MOST && store.iter_any().filter(of_domain).count() < MOST_OF_DOMAIN
}

fn may_pass(cookie: &Cookie<'_>, target: &Target) -> bool {
    target.is_secure() || cookie.secure() != Some(true)
}

/// A Unix socket has none.
fn url_of(target: &Target) -> Option<Url> {
    let scheme = if target.is_secure() { "https" } else { "http" };
    let (host, resource) = (target.host_header(), target.resource_name());
    let url = Url::parse(&format!("{scheme}://{host}{resource}"));
    url.ok().filter(|_| target.path().is_none())
}
