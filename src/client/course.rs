//! What is asked, and of whom, from one answer to the next.

use super::{ClientBuilder, redirect};
use crate::error::Error;
use crate::uri::Target;
#[cfg(feature = "digest")]
use crate::{credentials::digest::Challenge, error::Misuse};
use http::HeaderMap;

/// A request, then those that its answers lead to.
pub(super) struct Course<'b> {
    builder: &'b ClientBuilder,
    target: Target,
    /// Those of the user that may go there.
    headers: HeaderMap,
    /// Redirects so far.
    followed: usize,
    /// The credentials are for its origin.
    #[cfg(feature = "digest")]
    home: Target,
    /// What that has asked for.
    #[cfg(feature = "digest")]
    challenge: Option<Challenge>,
}

impl<'b> Course<'b> {
    pub(super) fn new(builder: &'b ClientBuilder, target: Target) -> Self {
        Course {
            builder,
            headers: builder.headers.clone(),
            followed: 0,
            #[cfg(feature = "digest")]
            home: target.clone(),
            #[cfg(feature = "digest")]
            challenge: None,
            target,
        }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// The headers of the next request that are not those of every handshake.
    pub(super) fn headers(&mut self) -> Result<HeaderMap, Error> {
        #[cfg_attr(not(any(feature = "digest", feature = "cookies")), expect(unused_mut))]
        let mut headers = self.headers.clone();
        #[cfg(feature = "digest")]
        if let (Some(challenge), Some(who)) = (&mut self.challenge, &self.builder.digest) {
            if self.home.is_same_origin(&self.target) {
                let answer = challenge.answer(who, self.target.resource_name());
                headers.insert(http::header::AUTHORIZATION, answer.ok_or(Misuse::Header)?);
            }
        }
        #[cfg(feature = "cookies")]
        if let Some(jar) = &self.builder.cookies {
            jar.add_to(&mut headers, &self.target);
        }
        Ok(headers)
    }

    /// An answer came, whatever it says; or none.
    #[cfg(feature = "cookies")]
    pub(super) fn hear(&self, headers: Option<&HeaderMap>) {
        if let (Some(jar), Some(headers)) = (&self.builder.cookies, headers) {
            jar.take_from(headers, &self.target);
        }
    }

    /// What to ask after this; the error if that is nothing.
    pub(super) fn go_on(&mut self, error: Error) -> Result<(), Error> {
        #[cfg(feature = "digest")]
        if self.is_challenged(&error) {
            return Ok(());
        }
        if self.followed == self.builder.redirects {
            return Err(error);
        }
        self.target = redirect::follow(&self.target, error, &mut self.headers)?;
        self.followed += 1;
        Ok(())
    }

    /// Once: who is refused with an answer has given a wrong one.
    #[cfg(feature = "digest")]
    fn is_challenged(&mut self, error: &Error) -> bool {
        let unauthorized = |response: &&http::Response<_>| response.status() == 401;
        let Some(response) = error.response().filter(unauthorized) else {
            return false;
        };
        let home = self.builder.digest.is_some() && self.home.is_same_origin(&self.target);
        if self.challenge.is_none() && home {
            self.challenge = Challenge::find(response.headers());
            return self.challenge.is_some();
        }
        false
    }
}
