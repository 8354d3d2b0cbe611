//! Ends of ours whose messages go to a callback or to a channel.

use super::peer::{Ours, Peer, open_with};
use super::{LATE, Scheme, client_builder, server_builder, spawn};
use wsync::{ClientBuilder, Config, Event, Message, Pong, Sender, Upgrade, WebSocket};

type Handler = Box<dyn Fn(&Sender, Message) + Send + Sync>;

/// Where messages go.
pub(crate) enum Delivery {
    Receive,
    Callback(Handler),
    Channel(crossbeam_channel::Sender<Event<u32>>, u32),
    /// To receive calls, and pongs elsewhere.
    Pong(Box<dyn Fn(Pong) + Send + Sync>),
}

impl Delivery {
    pub(crate) fn callback(handler: impl Fn(&Sender, Message) + Send + Sync + 'static) -> Self {
        Delivery::Callback(Box::new(handler))
    }

    pub(crate) fn pong(handler: impl Fn(Pong) + Send + Sync + 'static) -> Self {
        Delivery::Pong(Box::new(handler))
    }

    pub(crate) fn client(self, builder: ClientBuilder) -> ClientBuilder {
        match self {
            Delivery::Receive => builder,
            Delivery::Callback(handler) => builder.on_message(handler),
            Delivery::Channel(events, key) => builder.deliver_to(events, key),
            Delivery::Pong(handler) => builder.on_pong(handler),
        }
    }

    pub(crate) fn server(self, upgrade: Upgrade) -> Upgrade {
        match self {
            Delivery::Receive => upgrade,
            Delivery::Callback(handler) => upgrade.on_message(handler),
            Delivery::Channel(events, key) => upgrade.deliver_to(events, key),
            Delivery::Pong(handler) => upgrade.on_pong(handler),
        }
    }

    /// Opens the end, with a peer that does what it is told.
    pub(crate) fn open(self, ours: Ours, scheme: Scheme, config: Config) -> (WebSocket, Peer) {
        open_with(ours, scheme, config, self)
    }

    /// Opens the end, and an ordinary one of ours at the other side.
    pub(crate) fn pair(
        self,
        ours: Ours,
        scheme: Scheme,
        config: Config,
        other: Config,
    ) -> (WebSocket, WebSocket) {
        let none = Delivery::Receive;
        let (client, server, configs) = match ours {
            Ours::Client => (self, none, (config, other)),
            Ours::Server => (none, self, (other, config)),
        };
        let listening = server_builder(scheme).config(configs.1);
        let listening = listening.bind("127.0.0.1:0").unwrap();
        let port = listening.local_addr().port();
        let mut incoming = listening.incoming().unwrap();
        let accepted = spawn(move || server.server(incoming.next().unwrap()).accept().unwrap());
        let builder = client_builder(scheme, port).config(configs.0);
        let connected = client.client(builder).connect().unwrap();
        let accepted = accepted.within(LATE, "accepting");
        match ours {
            Ours::Client => (connected, accepted),
            Ours::Server => (accepted, connected),
        }
    }
}
