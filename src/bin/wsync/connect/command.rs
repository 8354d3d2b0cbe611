//! What a line on the terminal means.

use crate::show;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Nothing,
    Send(String),
    Binary(Vec<u8>),
    File(String),
    Ping(String),
    /// With the code 1000 if none is given.
    Close(Option<u16>, String),
    Queue,
    Stats,
    Pause,
    Resume,
    Help,
}

/// The commands, what follows them, and what they do.
pub(super) const COMMANDS: [(&str, &str, &str); 9] = [
    (
        "/ping",
        "[TEXT]",
        "send a ping, and show how long its pong takes",
    ),
    ("/close", "[CODE [REASON]]", "close the connection and end"),
    ("/queue", "", "show what waits in the receive queue"),
    (
        "/pause",
        "",
        "take no messages: the queue fills, then the server waits",
    ),
    ("/resume", "", "take them again"),
    ("/stats", "", "show what the connection has counted"),
    ("/binary", "HEX", "send a binary message"),
    ("/file", "PATH", "send a file as a binary message"),
    ("/help", "", "show this"),
];

/// The command of a line, or what is wrong with it.
pub(super) fn parse(line: &str) -> Result<Command, String> {
    let Some(rest) = line.strip_prefix('/') else {
        return Ok(match line {
            "" => Command::Nothing,
            line => Command::Send(line.to_owned()),
        });
    };
    if rest.starts_with('/') {
        return Ok(Command::Send(rest.to_owned()));
    }
    let (name, argument) = match rest.split_once(char::is_whitespace) {
        Some((name, argument)) => (name, argument.trim()),
        None => (rest, ""),
    };
    match (name, argument) {
        ("ping", payload) if payload.len() <= 125 => Ok(Command::Ping(payload.to_owned())),
        ("ping", payload) => Err(format!(
            "a ping has 125 bytes at most, not {}",
            payload.len()
        )),
        ("close", argument) => close(argument),
        ("binary", hex) => bytes(hex).map(Command::Binary),
        ("file", "") => Err("/file needs a path".into()),
        ("file", path) => Ok(Command::File(path.to_owned())),
        ("queue", "") => Ok(Command::Queue),
        ("stats", "") => Ok(Command::Stats),
        ("pause", "") => Ok(Command::Pause),
        ("resume", "") => Ok(Command::Resume),
        ("help", _) => Ok(Command::Help),
        ("queue" | "stats" | "pause" | "resume", _) => Err(format!("/{name} takes no argument")),
        _ => Err(format!(
            "there is no /{}; /help shows what there is, and //{0} sends it as text",
            show::line(name)
        )),
    }
}

/// The names of commands that begin so.
pub(super) fn completions(start: &str) -> Vec<String> {
    let names = COMMANDS.iter().map(|(name, ..)| *name);
    let fitting = names.filter(|name| name.starts_with(start));
    fitting.map(str::to_owned).collect()
}

/// What `/help` shows.
pub(super) fn help() -> String {
    let mut help =
        String::from("A line is sent as a text message; one that begins with a slash is\n");
    for (name, argument, what) in COMMANDS {
        let usage = format!("{name} {argument}");
        help.push_str(&format!("  {usage:24}{what}\n"));
    }
    help.push_str(
        "  //text                  send /text\nCtrl-C and Ctrl-D close the connection, too.\n",
    );
    help
}

fn close(argument: &str) -> Result<Command, String> {
    let (code, reason) = match argument.split_once(char::is_whitespace) {
        Some((code, reason)) => (code, reason.trim()),
        None => (argument, ""),
    };
    if code.is_empty() {
        return Ok(Command::Close(None, String::new()));
    }
    match code.parse() {
        Ok(code) => match wsync::CloseFrame::new(code, reason) {
            Ok(_) => Ok(Command::Close(Some(code), reason.to_owned())),
            Err(error) => Err(error.to_string()),
        },
        Err(_) => Err("/close takes a code of four digits, then a reason".into()),
    }
}

fn bytes(hex: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u8>> = (hex.chars().filter(|c| !c.is_whitespace() && *c != ':'))
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect();
    match digits {
        Some(digits) if !digits.is_empty() && digits.len() % 2 == 0 => Ok(digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()),
        _ => Err("/binary takes pairs of hexadecimal digits, such as: /binary 00 ff".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_begin_with_a_slash_is_sent_as_it_is() {
        for text in ["hello", " /ping", "a /close", "\t", "ä"] {
            assert_eq!(parse(text), Ok(Command::Send(text.into())));
        }
        assert_eq!(parse("//ping"), Ok(Command::Send("/ping".into())));
        assert_eq!(parse("///"), Ok(Command::Send("//".into())));
        assert_eq!(parse(""), Ok(Command::Nothing));
    }

    #[test]
    fn commands_take_what_they_need_and_no_more() {
        let sent = |line| parse(line).unwrap();
        assert_eq!(sent("/ping"), Command::Ping(String::new()));
        assert_eq!(
            sent("/ping  are you there? "),
            Command::Ping("are you there?".into())
        );
        assert_eq!(sent("/close"), Command::Close(None, String::new()));
        assert_eq!(
            sent("/close 4001 good bye"),
            Command::Close(Some(4001), "good bye".into())
        );
        assert_eq!(sent("/binary 00 fF:7e"), Command::Binary(vec![0, 255, 126]));
        assert_eq!(sent("/file /tmp/a b"), Command::File("/tmp/a b".into()));
        assert_eq!(sent("/queue "), Command::Queue);
        for wrong in [
            "/",
            "/nothing",
            "/queue now",
            "/binary",
            "/binary 0",
            "/binary xy",
            "/file",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse(&format!("/ping {}", "x".repeat(126))).is_err());
    }

    #[test]
    fn a_close_frame_that_may_not_be_sent_is_told_before() {
        for wrong in ["/close 1006", "/close 99999", "/close -1", "/close bye"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse(&format!("/close 1000 {}", "x".repeat(124))).is_err());
    }

    #[test]
    fn each_command_is_parsed_and_completed() {
        for (name, argument, _) in COMMANDS {
            assert!(completions(&name[..3]).contains(&name.to_owned()));
            let argument = match argument {
                "HEX" => "00",
                "PATH" => "x",
                _ => "",
            };
            assert!(parse(&format!("{name} {argument}")).is_ok(), "{name}");
        }
        assert_eq!(completions("/p"), ["/ping", "/pause"]);
        assert_eq!(completions("x"), [""; 0]);
    }
}
