//! `wsync record`: what a server sends, with its timing, into a file.

use crate::client_options::{ClientOptions, seconds};
use crate::failure::Failure;
use crate::interrupt;
use crate::recording::{Entry, Header, VERSION, What, write_line};
use crate::serve::tell;
use crate::show;
use clap::Args;
use crossbeam_channel::Receiver;
use jiff::Timestamp;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;
use wsync::{Error, RecvOrError, WebSocket};

const EXAMPLES: &str = "\
The file has a line of JSON for each message, and tells in the last one how it ended. It may be read, and \
replayed, while it is written. Times are those at which messages were taken from the receive queue.

EXAMPLES
  wsync record wss://example.org/feed feed.jsonl                  until Ctrl-C or the end
  wsync record wss://example.org/feed feed.jsonl --for 60 --send '{\"subscribe\":\"all\"}'
  wsync record ws://localhost:9000 - -n 100 | grep -c '\"kind\":\"text\"'";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// ws:// or wss://
    url: String,
    /// Where to write, - for standard output
    file: PathBuf,
    /// Send this text first; may be given several times
    #[arg(long = "send", value_name = "TEXT")]
    sends: Vec<String>,
    /// Stop after so many seconds
    #[arg(long = "for", value_name = "SECONDS")]
    duration: Option<f64>,
    /// Stop after so many messages
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
    /// Replace the file, if it is there
    #[arg(short, long)]
    force: bool,
    /// Print no summary
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    client: ClientOptions,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let duration = arguments.duration.map(seconds).transpose()?;
    let builder = arguments.client.builder(&arguments.url)?;
    let (stopper, stop) = interrupt::stop(|| {})?;
    let ws = builder.connect().map_err(Failure::NotConnected)?;
    let began = Instant::now();
    let file = open(&arguments.file, arguments.force)?;
    if let Some(duration) = duration {
        thread::spawn(move || {
            thread::sleep(duration);
            let _ = stopper.try_send(());
        });
    }
    let mut recorder = Recorder {
        began,
        file: BufWriter::new(file),
        messages: 0,
    };
    let end = match recorder.record(&ws, arguments, &stop) {
        Ok(end) => end,
        // As of `head`, which has enough.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        Err(e) => return Err(Failure::file(&arguments.file, &e)),
    };
    if !arguments.quiet {
        let (messages, time) = (recorder.messages, recorder.began.elapsed());
        let (time, how) = (time.as_secs_f64(), end.text());
        tell(&format!("{messages} messages in {time:.1} s; {how}"));
    }
    match end {
        End::Failed(error) => Err(Failure::Abnormal(error.to_string())),
        _ => Ok(()),
    }
}

fn open(path: &Path, force: bool) -> Result<Box<dyn Write>, Failure> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdout()));
    }
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create_new(!force)
        .create(true)
        .truncate(true);
    let file = options.open(path).map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => Failure::Usage(format!(
            "{} is there already; --force replaces it",
            path.display()
        )),
        _ => Failure::file(path, &e),
    })?;
    Ok(Box::new(file))
}

/// Why a recording ended.
enum End {
    Stopped,
    Closed(String),
    Failed(Error),
}

impl End {
    fn text(&self) -> String {
        match self {
            End::Stopped => "stopped".into(),
            End::Closed(how) => show::line(how),
            End::Failed(_) => "not ended by a normal close".into(),
        }
    }
}

struct Recorder {
    began: Instant,
    file: BufWriter<Box<dyn Write>>,
    messages: u64,
}

impl Recorder {
    fn record(
        &mut self,
        ws: &WebSocket,
        arguments: &Arguments,
        stop: &Receiver<()>,
    ) -> io::Result<End> {
        let header = Header {
            wsync_recording: VERSION,
            url: without_credentials(&arguments.url),
            time: Timestamp::now()
                .strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
                .to_string(),
            subprotocol: ws.subprotocol().map(str::to_owned),
        };
        write_line(&mut self.file, &header)?;
        self.file.flush()?;
        let mut end = None;
        for text in &arguments.sends {
            // A failed send is told by what ended the connection.
            let _ = ws.send(text);
        }
        while arguments.count.is_none_or(|count| self.messages < count) {
            match ws.recv_or(stop) {
                Ok(message) => {
                    self.write(What::message(&message))?;
                    self.messages += 1;
                }
                Err(RecvOrError::Stopped) => break,
                Err(RecvOrError::Closed(error)) => {
                    end = Some(error);
                    break;
                }
            }
            if ws.is_empty() {
                self.file.flush()?;
            }
        }
        let end = self.end(ws, end)?;
        self.file.flush()?;
        Ok(end)
    }

    fn end(&mut self, ws: &WebSocket, error: Option<Error>) -> io::Result<End> {
        let Some(error) = error else {
            self.write(What::Stop)?;
            self.file.flush()?;
            // The recording is complete, whatever becomes of this.
            let _ = ws.close();
            return Ok(End::Stopped);
        };
        match (&error, ws.closed()) {
            (Error::Closed(closed), _) => {
                let frame = closed.received.as_ref();
                self.write(frame.map_or(What::Stop, What::close))?;
                Ok(match closed.is_normal() {
                    true => End::Closed(closed.to_string()),
                    false => End::Failed(error),
                })
            }
            _ => {
                self.write(What::Error {
                    error: error.to_string(),
                })?;
                Ok(End::Failed(error))
            }
        }
    }

    fn write(&mut self, what: What) -> io::Result<()> {
        let at = self.began.elapsed();
        write_line(&mut self.file, &Entry { at, what })
    }
}

/// A user name and a password before the host are left out.
pub(crate) fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..authority].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}
