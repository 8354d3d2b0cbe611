//! A program for each connection.

use super::Visit;
use super::environment::Environment;
use super::pipes::{self, Framing};
use super::program::Programs;
use crate::client_options::seconds;
use crate::failure::Failure;
use crate::server_options::ServerOptions;
use crate::show;
use clap::{Args, ValueEnum};
use crossbeam_channel::bounded;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;
use std::{env, thread};
use wsync::{CloseCode, Error, Sender, WebSocket};

/// None of its threads goes deep.
const STACK: usize = 128 << 10;

/// A longer line of a program's standard error is told in parts.
const LINE: u64 = 4096;

const MORE: &str = "\
Each message is a line on the program's standard input, and each line of its standard output a text message. \
Bytes that are not UTF-8 become U+FFFD. A message that has line ends is several lines.

When the program ends, the connection is closed: with 1000, or with 1011 and its status in the reason when it \
failed. What it leaves behind in its process group is ended, too. When the client leaves, the program's standard \
input ends; after --grace it gets SIGTERM, and after --grace again SIGKILL, with all of its group.

A program that does not read holds its client up. A client that does not read holds its program up, for 30 \
seconds: then it is closed.

ENVIRONMENT OF THE PROGRAM
  REMOTE_ADDR, REMOTE_PORT       the client; missing on a Unix socket
  REQUEST_URI                    path and query as they were sent
  PATH_INFO, QUERY_STRING        the path, decoded, and the query, as it was sent
  SERVER_NAME, SERVER_PORT       the host that the client asked for, and the port here
  HTTPS                          'on' with TLS, else missing
  ORIGIN                         the site of the page, if a browser asks
  SUBPROTOCOL                    what was agreed on, if anything
  AUTH_TYPE, REMOTE_USER         with --user
  HTTP_...                       headers of the request, but for credentials and Proxy
  GATEWAY_INTERFACE, REQUEST_METHOD, SCRIPT_NAME, SERVER_PROTOCOL, SERVER_SOFTWARE   as in CGI

EXAMPLES
  wsync serve exec cat                                        an echo by another program
  wsync serve :9000 exec -- sh -c 'while date; do sleep 1; done'
  wsync serve exec --binary -- nc localhost 5900              a port of TCP for browsers
  wsync serve exec --clear-env --stderr drop ./untrusted";

#[derive(Args, Debug, Clone)]
#[command(after_help = MORE)]
pub(super) struct ExecOptions {
    /// Send what the program writes as binary messages, as it comes, and write messages as they are
    #[arg(short, long)]
    binary: bool,
    /// End the connection at a line of more bytes than this
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20, conflicts_with = "binary")]
    max_line: usize,
    /// What becomes of the program's standard error
    #[arg(long, value_enum, default_value_t = Stderr::Pass)]
    stderr: Stderr,
    /// Give the program no variables of this environment but PATH
    #[arg(long)]
    clear_env: bool,
    /// How long a program may take to end before it is told to, and made to, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    grace: f64,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    program: Vec<OsString>,
}

#[derive(ValueEnum, Debug, Clone, Copy)]
enum Stderr {
    /// It is that of this command
    Pass,
    /// Each line is told with the number of its connection
    Log,
    /// Nobody reads it
    Drop,
}

pub(super) struct Exec {
    options: ExecOptions,
    user: Option<String>,
    tls: bool,
    grace: Duration,
    programs: Programs,
}

impl Exec {
    pub(super) fn new(options: &ExecOptions, server: &ServerOptions) -> Result<Self, Failure> {
        let program = &options.program[0];
        if !is_there(program) {
            let program = Path::new(program).display();
            return Err(Failure::Usage(format!("there is no program {program}")));
        }
        Ok(Exec {
            options: options.clone(),
            user: server.user().map(str::to_owned),
            tls: server.speaks_tls(),
            grace: seconds(options.grace)?,
            programs: Programs::default(),
        })
    }

    /// Runs a program until it or the connection has ended, and returns why, if not by the program's end.
    pub(super) fn serve(&self, ws: &WebSocket, visit: &Visit) -> Option<Error> {
        match self.converse(ws, visit) {
            Ok(error) => Some(error),
            Err(error) => {
                visit.line(&format!("no program: {error}"));
                let _ = ws.close_with(CloseCode::INTERNAL_ERROR, "the program cannot be started");
                None
            }
        }
    }

    fn converse(&self, ws: &WebSocket, visit: &Visit) -> io::Result<Error> {
        let (gone, is_gone) = UnixStream::pair()?;
        let (program, streams) = self.programs.start(&mut self.command(ws))?;
        visit.line(&format!("runs process {}", program.id()));
        if let Some(stderr) = streams.stderr {
            tell(stderr, visit.clone())?;
        }
        let (group, framing, grace) = (program.group(), self.framing(), self.grace);
        let (exited, has_exited) = bounded(1);
        let (drained, is_drained) = bounded::<()>(0);
        let forward = move || {
            pipes::forward_output(streams.stdout, &is_gone, ws.sender(), framing);
            drop(drained);
        };
        let attend = move || {
            let status = program.wait(grace);
            let _ = exited.send(());
            // Whoever holds its output now has left its group.
            drop(gone);
            let _ = is_drained.recv();
            say_goodbye(ws.sender(), status);
        };
        thread::scope(|scope| {
            let small = || thread::Builder::new().stack_size(STACK);
            small().spawn_scoped(scope, forward)?;
            small().spawn_scoped(scope, attend)?;
            let error = pipes::forward_input(ws, streams.stdin, framing);
            group.end_once(&has_exited, grace);
            Ok(error)
        })
    }

    fn command(&self, ws: &WebSocket) -> Command {
        let (program, arguments) = (&self.options.program[0], &self.options.program[1..]);
        let mut command = Command::new(program);
        if self.options.clear_env {
            command.env_clear();
            command.envs(env::var_os("PATH").map(|path| ("PATH", path)));
        }
        let environment = Environment::of(ws, self.tls, self.user.as_deref());
        environment.apply(&mut command);
        command.args(arguments).stderr(match self.options.stderr {
            Stderr::Pass => Stdio::inherit(),
            Stderr::Log => Stdio::piped(),
            Stderr::Drop => Stdio::null(),
        });
        command
    }

    fn framing(&self) -> Framing {
        match self.options.binary {
            true => Framing::Raw,
            false => Framing::Lines {
                longest: self.options.max_line,
            },
        }
    }

    /// How long a connection takes at most once its client is gone: input, SIGTERM, and what is left behind.
    pub(super) fn ending(&self) -> Duration {
        3 * self.grace
    }

    pub(super) fn kill_all(&self) {
        self.programs.kill_all();
    }
}

/// Whether a program can be found, where the system will look for it.
fn is_there(program: &OsStr) -> bool {
    let path = Path::new(program);
    if program.as_encoded_bytes().contains(&b'/') {
        return path.is_file();
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders).any(|folder| folder.join(path).is_file())
}

/// What a program writes on its standard error, line by line, until nobody has it any more.
fn tell(stderr: ChildStderr, visit: Visit) -> io::Result<()> {
    let tell = move || {
        let mut reader = BufReader::new(stderr);
        let mut line = Vec::new();
        while matches!(
            reader.by_ref().take(LINE).read_until(b'\n', &mut line),
            Ok(1..)
        ) {
            let text = String::from_utf8_lossy(&line);
            visit.line(&format!("says: {}", show::line(text.trim_end())));
            line.clear();
        }
    };
    thread::Builder::new().stack_size(STACK).spawn(tell)?;
    Ok(())
}

fn say_goodbye(sender: &Sender, status: io::Result<ExitStatus>) {
    let (code, reason) = match status {
        Ok(status) if status.success() => (CloseCode::NORMAL, String::new()),
        Ok(status) => (CloseCode::INTERNAL_ERROR, status.to_string()),
        Err(error) => (CloseCode::INTERNAL_ERROR, error.kind().to_string()),
    };
    // Perhaps the client was faster.
    let _ = sender.close_with(code, reason);
}
