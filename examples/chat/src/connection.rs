//! A browser's connection, in a thread of its own: what it says goes to the broker.
//!
//! What it is sent comes from [`rooms`](crate::rooms).

use crate::chat::Context;
use crate::protocol::{self, Draft, FromClient, ToClient, now};
use crate::rate::Rate;
use crate::rooms::{Joining, Rooms};
use http::{StatusCode, Uri};
use std::sync::atomic::Ordering;
use wsync::{Message, Upgrade};

/// Until the end of the connection.
pub fn serve(upgrade: Upgrade, context: &Context) {
    let visitor = match Visitor::of(upgrade.request().uri()) {
        Ok(visitor) => visitor,
        Err(reason) => return reject(upgrade, StatusCode::BAD_REQUEST, reason),
    };
    if !context.rooms.admit(&visitor.room) {
        let reason = "there are too many rooms";
        return reject(upgrade, StatusCode::SERVICE_UNAVAILABLE, reason);
    }
    let peer = upgrade.peer_addr();
    let Ok(ws) = upgrade.accept() else {
        return;
    };
    let id = context.next.fetch_add(1, Ordering::Relaxed);
    let _presence = Presence(&context.rooms, id);
    let welcome = ToClient::Welcome {
        server: &context.name,
        room: &visitor.room,
        name: &visitor.name,
    };
    context.rooms.join(Joining {
        id,
        welcome: welcome.to_message(),
        room: visitor.room.clone(),
        name: visitor.name.clone(),
        after: visitor.after.clone(),
        peer,
        sender: ws.sender().clone(),
        queue: ws.queue(),
    });
    let mut rate = Rate::per_second(context.rate);
    for message in ws.iter().map_while(Result::ok) {
        rate.wait();
        if let Some(refusal) = visitor.say(&message, context) {
            // If there is no room for it, much else is on the way to this browser.
            let _ = ws.sender().try_send(refusal);
        }
    }
}

/// Somebody in a room, until it is dropped.
struct Presence<'a>(&'a Rooms, u64);

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        self.0.leave(self.1);
    }
}

fn reject(upgrade: Upgrade, status: StatusCode, reason: &str) {
    let _ = upgrade.reject(status, format!("{reason}\n"));
}

/// Who comes, as the query of the address tells.
#[derive(Debug, Default, PartialEq)]
struct Visitor {
    room: String,
    name: String,
    after: Option<String>,
}

impl Visitor {
    fn of(uri: &Uri) -> Result<Self, &'static str> {
        let mut visitor = Visitor::default();
        for (key, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            match &*key {
                "room" => visitor.room = value.into_owned(),
                "name" => visitor.name = value.into_owned(),
                "after" => visitor.after = Some(value.into_owned()),
                _ => {}
            }
        }
        protocol::check_room(&visitor.room)?;
        protocol::check_name(&visitor.name)?;
        Ok(visitor)
    }

    /// Says it to the room. What the browser is told if it was not accepted.
    fn say(&self, message: &Message, context: &Context) -> Option<Message> {
        let error = |text: &str, nonce: Option<&str>| {
            let error = ToClient::Error { text, nonce };
            Some(error.to_message())
        };
        let Some(text) = message.as_text() else {
            return error("messages are text", None);
        };
        let Ok(FromClient::Say { nonce, text }) = serde_json::from_str(text) else {
            return error(
                r#"a message is {"type":"say","nonce":"…","text":"…"}"#,
                None,
            );
        };
        if let Err(reason) = protocol::check_say(&nonce, &text) {
            return error(reason, Some(&nonce));
        }
        let draft = Draft {
            room: self.room.clone(),
            nonce: nonce.clone(),
            from: self.name.clone(),
            text,
            at: now(),
        };
        let said = context.broker.say(draft);
        said.err()
            .and_then(|away| error(&away.to_string(), Some(&nonce)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visitor(query: &str) -> Result<Visitor, &'static str> {
        Visitor::of(&format!("/ws?{query}").parse().unwrap())
    }

    #[test]
    fn a_query_is_decoded() {
        let ann = visitor("name=Ann+M%C3%BCller&room=tea&after=5-1&more=x").unwrap();
        let expected = Visitor {
            room: "tea".into(),
            name: "Ann Müller".into(),
            after: Some("5-1".into()),
        };
        assert_eq!(ann, expected);
    }

    #[test]
    fn a_query_that_lacks_something_or_is_no_utf8_is_refused() {
        for query in [
            "",
            "room=tea",
            "name=Ann",
            "room=te%20a&name=Ann",
            "room=tea&name=%FF",
        ] {
            assert!(visitor(query).is_err(), "{query}");
        }
    }
}
