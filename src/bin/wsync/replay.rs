//! `wsync replay`: a recording, sent again with its timing.

use crate::client_options::{ClientOptions, LONGEST};
use crate::failure::Failure;
use crate::interrupt;
use crate::recording::{Recording, What};
use crate::serve::{Log, serve_until_told, tell};
use crate::server_options::{identity, listen};
use clap::{ArgGroup, Args};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};
use wsync::{
    CloseCode, Compression, Error, Message, OriginPolicy, RecvTimeoutError, Server, Upgrade,
    WebSocket,
};

const EXAMPLES: &str = "\
A message is due at its time since the connection was open, divided by the speed: one that was late makes none \
of those after it late. The end is replayed, too: a Close frame with its code and reason, an error as 1011. The \
recording is held in memory. What the other side sends is received and left. The options of a client have no \
effect with --listen.

EXAMPLES
  wsync replay feed.jsonl --listen 127.0.0.1:9000       a stand-in for the server, for each client from the begin
  wsync replay feed.jsonl --to ws://localhost:9000      to a server, as a client
  wsync replay feed.jsonl --listen :9000 --speed 10 --loop
  wsync replay feed.jsonl --to ws://localhost:9000 --speed max";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("side").required(true).args(["to", "listen"]))]
pub(crate) struct Arguments {
    /// A recording, - for standard input
    file: PathBuf,
    /// Send it to this server: ws:// or wss://
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Serve it to each client: HOST:PORT, :PORT or PORT of the loopback, or unix:PATH
    #[arg(long, value_name = "ADDRESS", conflicts_with = "TlsOptions")]
    listen: Option<String>,
    /// So many times as fast, or 'max': no pauses
    #[arg(long, value_name = "N", default_value = "1", value_parser = speed)]
    speed: f64,
    /// Begin again at the end
    #[arg(long = "loop")]
    again: bool,
    /// Speak TLS (wss), with this certificate and key (PEM)
    #[arg(long, num_args = 2, value_names = ["CERT", "KEY"], conflicts_with = "to")]
    tls: Vec<PathBuf>,
    /// Print nothing about connections
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    client: ClientOptions,
}

fn speed(given: &str) -> Result<f64, &'static str> {
    match given.parse() {
        _ if given == "max" => Ok(f64::INFINITY),
        Ok(speed) if speed > 0.0 => Ok(speed),
        _ => Err("it is a number above 0, or 'max'"),
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let recording = Recording::read(&arguments.file)?;
    if let Some(line) = recording.cut_off {
        let file = arguments.file.display();
        tell(&format!(
            "wsync: {file}, line {line}: cut off, and left out"
        ));
    }
    let player = Player {
        subprotocol: recording.header.subprotocol.clone(),
        script: recording
            .entries
            .into_iter()
            .map(|entry| (entry.at, entry.what.into()))
            .collect(),
        speed: arguments.speed,
        again: arguments.again,
    };
    match (&arguments.listen, &arguments.to) {
        (Some(address), _) => stand_in(player, arguments, address),
        (None, Some(url)) => visit(&player, arguments, url),
        (None, None) => Ok(()),
    }
}

/// As a server.
fn stand_in(player: Player, arguments: &Arguments, address: &str) -> Result<(), Failure> {
    let mut builder = Server::builder()
        .origins(OriginPolicy::Any)
        .compression(Compression::server());
    if let Some(subprotocol) = &player.subprotocol {
        builder = builder.subprotocol(subprotocol);
    }
    if let [cert, key] = &arguments.tls[..] {
        builder = builder.tls(identity(cert, key)?);
    }
    let server = listen(builder, address)?;
    let log = Log::new(arguments.quiet);
    let serve = {
        let log = log.clone();
        move |upgrade: Upgrade| {
            let visit = log.visit(&upgrade);
            match upgrade.accept() {
                Ok(ws) => visit.ended(&ws, player.play(&ws).err().as_ref()),
                Err(error) => visit.line(&format!("not opened: {error}")),
            }
        }
    };
    serve_until_told(
        &server,
        !arguments.tls.is_empty(),
        &log,
        Duration::ZERO,
        || {},
        serve,
    )
}

/// As a client.
fn visit(player: &Player, arguments: &Arguments, url: &str) -> Result<(), Failure> {
    let builder = arguments.client.builder(url)?;
    let (_stopper, stop) = interrupt::stop(|| {})?;
    let ws = builder.connect().map_err(Failure::NotConnected)?;
    let sender = ws.sender().clone();
    thread::spawn(move || {
        if stop.recv().is_ok() {
            // This wakes the player.
            let _ = sender.close();
        }
    });
    let error = player.play(&ws).err();
    if !arguments.quiet {
        let stats = ws.stats();
        let (sent, seconds) = (stats.sent, stats.open_for.as_secs_f64());
        let received = stats.queue.received;
        tell(&format!(
            "{sent} messages sent in {seconds:.1} s, {received} received"
        ));
    }
    let normal = ws.closed().is_some_and(|closed| closed.is_normal());
    match error {
        Some(error) if !normal => Err(Failure::Abnormal(error.to_string())),
        _ => Ok(()),
    }
}

/// What is sent at a time.
enum Step {
    Message(Message),
    Close(CloseCode, String),
}

impl From<What> for Step {
    fn from(what: What) -> Self {
        match what {
            What::Text { data } => Step::Message(data.into()),
            What::Binary { data } => Step::Message(data.into()),
            What::Close { code, reason } => match CloseCode::from(code) {
                CloseCode::NO_STATUS => Step::Close(CloseCode::NORMAL, reason),
                code => Step::Close(code, reason),
            },
            What::Error { .. } => {
                Step::Close(CloseCode::INTERNAL_ERROR, "recorded as an error".into())
            }
            What::Stop => Step::Close(CloseCode::NORMAL, String::new()),
        }
    }
}

struct Player {
    subprotocol: Option<String>,
    script: Vec<(Duration, Step)>,
    speed: f64,
    again: bool,
}

impl Player {
    /// Until the recording or the connection ends.
    fn play(&self, ws: &WebSocket) -> Result<(), Error> {
        let mut began = Instant::now();
        loop {
            for (at, step) in &self.script {
                wait_until(began + self.scaled(*at), ws)?;
                match step {
                    Step::Message(message) => ws.send(message.clone())?,
                    Step::Close(..) if self.again => {}
                    Step::Close(code, reason) => {
                        return ws.close_with(*code, reason.as_str()).map(drop);
                    }
                }
            }
            match self.script.last() {
                Some((length, _)) if self.again => began += self.scaled(*length),
                _ => return ws.close().map(drop),
            }
        }
    }

    fn scaled(&self, at: Duration) -> Duration {
        let scaled = Duration::try_from_secs_f64(at.as_secs_f64() / self.speed);
        scaled.map_or(LONGEST, |scaled| scaled.min(LONGEST))
    }
}

/// What comes meanwhile is left; the end of the connection ends the wait.
fn wait_until(due: Instant, ws: &WebSocket) -> Result<(), Error> {
    loop {
        match ws.recv_deadline(due) {
            Ok(_) if Instant::now() < due => {}
            Ok(_) | Err(RecvTimeoutError::Timeout) => return Ok(()),
            Err(RecvTimeoutError::Closed(error)) => return Err(error),
        }
    }
}
