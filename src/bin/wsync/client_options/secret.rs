//! What is not to stand on the command line, where other users of the machine see it.

use crate::failure::Failure;
use std::borrow::Cow;
use std::{env, fs, io};

/// Headers, those of files in place of `@FILE`.
pub(super) fn headers(given: &[String]) -> Result<Vec<String>, Failure> {
    let mut headers = Vec::new();
    for header in given {
        match header.strip_prefix('@') {
            Some(path) => headers.extend(
                text(path)?
                    .lines()
                    .filter(|line| !line.trim().is_empty())
                    .map(str::to_owned),
            ),
            None => headers.push(header.clone()),
        }
    }
    Ok(headers)
}

/// A token, that of a file in place of `@FILE`.
pub(super) fn token(given: &str) -> Result<Cow<'_, str>, Failure> {
    match given.strip_prefix('@') {
        Some(path) => Ok(Cow::Owned(text(path)?.trim().to_owned())),
        None => Ok(Cow::Borrowed(given)),
    }
}

/// A user and a password: from the environment, or asked for, if it is not there.
pub(super) fn credentials(given: &str) -> Result<(&str, Cow<'_, str>), Failure> {
    if let Some((user, password)) = given.split_once(':') {
        return Ok((user, Cow::Borrowed(password)));
    }
    let password = match env::var("WSYNC_PASSWORD") {
        Ok(password) => password,
        Err(_) => ask(given).map_err(|e| Failure::Usage(format!("no password: {e}")))?,
    };
    Ok((given, Cow::Owned(password)))
}

fn text(path: &str) -> Result<String, Failure> {
    let read = match path {
        "-" => io::read_to_string(io::stdin()),
        path => fs::read_to_string(path),
    };
    read.map_err(|e| Failure::file(path.as_ref(), &e))
}

/// On the terminal, whatever standard input is, and without showing it.
#[cfg(unix)]
fn ask(user: &str) -> io::Result<String> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    use std::io::{BufRead, BufReader, Write};

    let tty = fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/tty")?;
    write!(&tty, "Password of {}: ", crate::show::line(user))?;
    let before = tcgetattr(&tty)?;
    let mut hidden = before.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&tty, OptionalActions::Flush, &hidden)?;
    let mut password = String::new();
    let read = BufReader::new(&tty).read_line(&mut password);
    tcsetattr(&tty, OptionalActions::Flush, &before)?;
    writeln!(&tty)?;
    read?;
    Ok(password.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(not(unix))]
fn ask(_user: &str) -> io::Result<String> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "it is asked for on Unix only; set WSYNC_PASSWORD",
    ))
}
