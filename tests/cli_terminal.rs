//! `wsync connect` at a terminal: what a person sees, and what keys do.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod cli;
mod common;

use cli::terminal::Terminal;
use cli::{echo, path, serve, serve_at};
use common::{LATE, eventually, watchdog};
use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use wsync::{CloseCode, Message, Server, WebSocket};

/// A server that sends what the test tells it to, and the other end of that.
fn told() -> (cli::Serves, std::sync::mpsc::Sender<Message>) {
    let (say, what) = channel::<Message>();
    let what = Mutex::new(what);
    let server = serve(move |ws: WebSocket| {
        for message in what.lock().unwrap().iter() {
            ws.send(message).unwrap();
        }
        let _ = ws.close_with(4000, "that is all\u{1b}[2J");
    });
    (server, say)
}

fn connected(arguments: &[&str]) -> Terminal {
    let terminal = Terminal::start(arguments);
    is_connected(&terminal);
    terminal
}

fn is_connected(terminal: &Terminal) {
    terminal.until("a prompt below what is connected", |rows| {
        rows.len() > 4 && rows.last().is_some_and(|row| row == ">")
    });
}

#[test]
fn who_connects_is_told_to_what_and_how() {
    watchdog(60, || {
        let (echo, _ends) = echo();
        let terminal = connected(&["connect", &echo.url]);
        let rows = terminal.rows();
        assert_eq!(rows[0], format!("Connected to {}", echo.url));
        for (row, name) in rows[1..]
            .iter()
            .zip(["status", "address", "subprotocol", "compression"])
        {
            assert_eq!(row.split_whitespace().next(), Some(name), "{rows:?}");
        }
        assert!(
            rows[1].ends_with("101 Switching Protocols") && rows[4].ends_with("none"),
            "{rows:?}"
        );
    });
}

#[test]
fn what_comes_stands_above_what_is_being_typed() {
    watchdog(60, || {
        let (_server, say) = told();
        let mut terminal = connected(&["connect", &_server.url]);
        terminal.press("half a li");
        terminal.until_typed("> half a li");
        say.send("first\nsecond".into()).unwrap();
        say.send(vec![0, b'A'].into()).unwrap();
        terminal.until_row("  00000000  00 41                                             |.A|");
        terminal.until_typed("> half a li");
        let rows = terminal.rows();
        let behind = rows.iter().position(|row| row == "< first").unwrap();
        assert_eq!(
            rows[behind + 1..behind + 3],
            ["  second", "< binary, 2 bytes"]
        );
        terminal.press("\u{1b}[D\u{1b}[D\u{7f}\u{7f}b ");
        terminal.until_typed("> half b li");
    });
}

#[test]
fn lines_are_sent_and_stay_where_they_were_typed() {
    watchdog(60, || {
        let (echo, _ends) = echo();
        let mut terminal = connected(&["connect", &echo.url]);
        // All at once, as after a pause of the network.
        terminal.press("one\rtwo\r//three\r\u{1b}[200~a\rb\u{1b}[201~\rnot yet");
        for row in [
            "> one",
            "< one",
            "< two",
            "> //three",
            "< /three",
            "> a",
            "< a",
            "  b",
        ] {
            terminal.until_row(row);
        }
        terminal.until_typed("> not yet");
    });
}

#[test]
fn a_line_longer_than_the_screen_moves_along() {
    watchdog(60, || {
        let (echo, _ends) = echo();
        let mut terminal = connected(&["connect", &echo.url]);
        let long: String = ('a'..='z').cycle().take(200).collect();
        terminal.press(&long);
        terminal.until("its end", |rows| {
            rows.last().unwrap().ends_with(&long[190..])
        });
        assert!(terminal.rows().last().unwrap().len() < cli::terminal::WIDTH);
        terminal.press("\u{1b}[H");
        terminal.until("its begin", |rows| {
            rows.last()
                .unwrap()
                .starts_with(&format!("> {}", &long[..70]))
        });
        terminal.press("\r");
        terminal.until("all of it", |rows| {
            rows.concat().contains(&format!("< {}", &long[..70]))
        });
    });
}

#[test]
fn no_control_of_the_server_reaches_the_terminal() {
    watchdog(60, || {
        let (_server, say) = told();
        let mut terminal = connected(&["connect", &_server.url]);
        let hostile = "\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\u{202e}\u{200b}\r\u{8}\u{7f}\0tab\there";
        say.send(hostile.into()).unwrap();
        let shown = "< \\x1b[2J\\x1b]0;x\\x07\\x9b31m\\u{202e}\\u{200b}\\r\\x08\\x7f\\x00tab";
        drop(say);
        // Its close reason is hostile, too.
        assert_eq!(terminal.status(), 3);
        terminal.until_row("wsync: closed by the server: 4000 (private use) that is all\\x1b[2J");
        let rows = terminal.rows();
        assert!(rows.iter().any(|row| row.starts_with(shown)), "{rows:?}");
    });
}

#[test]
fn the_queue_fills_while_paused_and_is_shown() {
    watchdog(60, || {
        let (_server, say) = told();
        let mut terminal = connected(&["connect", "--queue", "3", &_server.url]);
        terminal.press("/pause\r");
        terminal.until_row("paused: messages wait in the queue until /resume");
        (0..10).for_each(|n| say.send(format!("message {n}").into()).unwrap());
        let waiting = "3 of 3 messages, 27 of 16 777 216 bytes; the oldest for";
        eventually("a full queue that stops the reader", || {
            let before = terminal.rows().len();
            terminal.press("/queue\r");
            terminal.until("the queue", |rows| {
                rows[before..].iter().any(|row| row.contains("reading"))
            });
            let rows = terminal.rows();
            let has = |part: &str| rows[before..].iter().any(|row| row.contains(part));
            has(waiting)
                && has("stopped: the queue is full")
                && has("3 received, 0 taken, 0 dropped")
        });
        assert!(!terminal.rows().iter().any(|row| row.starts_with('<')));
        terminal.press("/resume\r");
        (0..10).for_each(|n| terminal.until_row(&format!("< message {n}")));
    });
}

#[test]
fn pings_and_counts_are_told() {
    watchdog(60, || {
        let (echo, _ends) = echo();
        let mut terminal = connected(&["connect", &echo.url]);
        terminal.press("/ping\r/ping are you there?\r");
        terminal.until("pongs", |rows| {
            let told = |start: &str| rows.iter().any(|row| row.starts_with(start));
            told("pong 1 after ") && told("pong are you there? after ")
        });
        terminal.press("/stats\r/nothing\r/help\r/binary 00 01\r");
        terminal.until("answers", |rows| {
            let told = |part: &str| rows.iter().any(|row| row.contains(part));
            told("2 sent, 0 received")
                && told("there is no /nothing")
                && told("/close [CODE [REASON]]")
                && told("00000000  00 01")
        });
    });
}

#[test]
fn what_is_logged_stands_above_the_line_too() {
    watchdog(60, || {
        let (say, said) = channel::<()>();
        let said = Mutex::new(said);
        let server = serve(move |ws| {
            let _ = said.lock().unwrap().recv();
            let _ = ws.close_with(1000, "");
        });
        let mut terminal = connected(&["connect", "-v", "-r", &server.url]);
        terminal.press("typed");
        terminal.until_typed("> typed");
        drop(say);
        terminal.until("the log", |rows| {
            rows.iter().any(|row| row.contains("DEBUG wsync"))
        });
        terminal.until_typed("> typed");
        terminal.press("\u{3}");
        assert_eq!(terminal.status(), 0);
    });
}

#[test]
fn a_file_is_sent_as_it_is() {
    watchdog(60, || {
        let (sender, came) = channel();
        let server = serve(move |ws| {
            sender.send(ws.recv().unwrap()).unwrap();
            let _ = ws.recv();
        });
        let mut terminal = connected(&["connect", &server.url]);
        terminal.press("/file Cargo.toml\r/file /nowhere\r");
        let file = std::fs::read("Cargo.toml").unwrap();
        assert_eq!(came.recv_timeout(LATE).unwrap(), Message::from(file));
        terminal.until_row("/nowhere: No such file or directory (os error 2)");
    });
}

#[test]
fn an_end_of_the_server_ends_it_without_a_key() {
    watchdog(60, || {
        for (code, status) in [(1000, 0), (1001, 0), (1011, 3)] {
            let server = serve(move |ws| {
                let _ = ws.recv();
                ws.send("the last").unwrap();
                let _ = ws.close_with(code, "bye");
            });
            let mut terminal = connected(&["connect", &server.url]);
            terminal.press("go\rtyped but not sent");
            assert_eq!(terminal.status(), status);
            terminal.until_row("< the last");
            terminal.until("why", |rows| {
                let last = rows.last().unwrap();
                last.contains(&format!("closed by the server: {code}")) && last.ends_with("bye")
            });
        }
    });
}

#[test]
fn keys_and_close_end_it_normally() {
    watchdog(60, || {
        let (echo, ends) = echo();
        let cases = [
            ("\u{3}", 1000, ""),
            ("\u{4}", 1000, ""),
            ("typed\u{3}", 1000, ""),
            ("/close\r", 1000, ""),
            ("/close 4001 enough\r", 4001, "enough"),
        ];
        for (keys, code, reason) in cases {
            let mut terminal = connected(&["connect", &echo.url]);
            terminal.press(keys);
            assert_eq!(terminal.status(), 0, "{keys:?}");
            let frame = ends.recv_timeout(LATE).unwrap().received.unwrap();
            assert_eq!(
                (frame.code, frame.reason.as_str()),
                (CloseCode::from(code), reason)
            );
            terminal.until("why", |rows| {
                rows.last().unwrap().starts_with(&format!("closed: {code}"))
            });
        }
    });
}

#[test]
fn a_server_that_does_not_answer_a_close_is_not_waited_for_twice() {
    watchdog(60, || {
        let (begin, began) = channel::<()>();
        let began = Mutex::new(began);
        // Its queue is full, so it does not read the Close frame.
        let mut config = wsync::Config::server();
        config.queue.messages = 1;
        let builder = Server::builder().config(config);
        let server = cli::serve_with(builder, "ws", move |_ws| {
            let _ = began.lock().unwrap().recv();
        });
        let mut terminal = connected(&["connect", "--close-timeout", "inf", &server.url]);
        terminal.press("1\r2\r3\r");
        terminal.until_row("> 3");
        terminal.press("\u{3}");
        terminal.press("\u{3}");
        assert_eq!(terminal.status(), 3);
        terminal.until_row("wsync: ended without a closing handshake");
        drop(begin);
    });
}

#[test]
fn a_terminal_that_goes_away_closes_the_connection() {
    watchdog(60, || {
        let (echo, ends) = echo();
        let mut terminal = connected(&["connect", &echo.url]);
        terminal.hang_up();
        let closed = ends.recv_timeout(LATE).unwrap();
        assert_eq!(closed.received.unwrap().code, CloseCode::NORMAL);
        assert_eq!(terminal.status(), 0);
    });
}

#[test]
fn it_connects_again_and_says_so() {
    watchdog(60, || {
        let path = path("again-terminal.sock");
        let first = serve_at(&path, |ws| drop(ws.close_with(1012, "")));
        let url = first.url.clone();
        let mut terminal = Terminal::start(&["connect", "-r", "--max-delay", "0.2", &url]);
        let told =
            |part: &'static str| move |rows: &[String]| rows.iter().any(|row| row.contains(part));
        terminal.until("a wait", told("connecting again in"));
        first.server.shutdown().unwrap();
        terminal.until("a refusal", told("not connected: No such file"));
        let _second = serve_at(&path, common::echo);
        terminal.until("another connection", |rows| {
            let last = rows
                .iter()
                .rposition(|row| row.contains("connecting again in"));
            rows[last.unwrap()..]
                .iter()
                .any(|row| *row == format!("Connected to {url}"))
        });
        terminal.press("hello\r");
        terminal.until_row("< hello");
        terminal.press("/close\r");
        assert_eq!(terminal.status(), 0);
        std::fs::remove_file(path).unwrap();
    });
}

#[test]
fn the_history_is_kept_for_the_user_alone() {
    watchdog(60, || {
        let (echo, _ends) = echo();
        let state = path("history");
        let state_home = [("XDG_STATE_HOME", state.to_str().unwrap())];
        let file = state.join("wsync/history");
        for arguments in [
            &["connect", &echo.url, "--no-history"][..],
            &["connect", &echo.url],
        ] {
            assert!(!file.exists());
            let mut terminal = Terminal::start_in(arguments, &state_home);
            is_connected(&terminal);
            terminal.press("remember\r\u{3}");
            assert_eq!(terminal.status(), 0);
        }
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(
            state.join("wsync").metadata().unwrap().mode() & 0o777,
            0o700
        );
        let mut terminal = Terminal::start_in(&["connect", &echo.url], &state_home);
        is_connected(&terminal);
        terminal.press("\u{1b}[A");
        terminal.until_typed("> remember");
        std::fs::remove_dir_all(&state).unwrap();
    });
}

#[test]
fn colours_are_left_out_for_who_wants_none() {
    watchdog(60, || {
        let (echo, _ends) = echo();
        for (variables, coloured) in [(&[][..], true), (&[("NO_COLOR", "1")], false)] {
            let terminal = Terminal::start_in(&["connect", &echo.url], variables);
            is_connected(&terminal);
            let colours = terminal
                .sequences()
                .iter()
                .any(|s| s.ends_with('m') && s.len() > 2);
            assert_eq!(colours, coloured, "{:?}", terminal.sequences());
        }
    });
}
