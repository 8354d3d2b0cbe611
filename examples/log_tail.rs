//! cargo run --example log_tail
//! cargo run --example log_tail -- FILE 127.0.0.1:9001
//!
//! Clients get the last lines of a file and then those that come, also when it is rotated or truncated. Who does not
//! read is closed, and holds up nobody. Without a file it writes one, and is its own clients.

use same_file::Handle;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;
use std::{env, mem, thread};
use wsync::{Config, Error, Event, Hub, Server, Slow};

fn main() -> Result<(), Error> {
    let mut args = env::args().skip(1);
    let file = args.next();
    let mut config = Config::server();
    // So much may wait for a client, and the outbox.
    config.socket.send_buffer = Some(128 << 10);
    let address = args.next().unwrap_or("127.0.0.1:0".into());
    let server = Server::builder().config(config).bind(address)?;
    println!("ws://{}/", server.local_addr());
    file.map_or_else(|| show(&server), |file| serve(Path::new(&file), &server))
}

/// One thread for the file and all clients.
fn serve(path: &Path, server: &Server) -> Result<(), Error> {
    let hub = Hub::new(100).slow(Slow::Close);
    let (server, serving) = (server.clone(), hub.clone());
    thread::spawn(move || serving.serve(&server));
    let (mut file, mut rest, mut last) = (Handle::from_path(path)?, Vec::new(), Vec::new());
    // A shorter file is read from its begin.
    let _ = file.as_file_mut().seek(SeekFrom::End(-65_536));
    loop {
        for line in read(path, &mut file, &mut rest)?.lines() {
            hub.publish("lines", line);
            last.push(line.to_owned());
            last.drain(..last.len().saturating_sub(10));
        }
        let event = hub.events().recv_timeout(Duration::from_millis(20));
        if let Ok(Event::Opened { key, sender }) = event {
            for line in &last {
                let _ = sender.try_send(line.as_str());
            }
            // Only now does it get what comes: hence a topic, and no broadcast.
            hub.subscribe(key, "lines");
        }
    }
}

/// The lines that have come. `rest` is the begin of the next. A shorter file is one that was truncated.
fn read(path: &Path, file: &mut Handle, rest: &mut Vec<u8>) -> io::Result<String> {
    // First, so that the old file is whole when it is read. For a moment there may be none.
    let now = Handle::from_path(path).ok();
    let old = file.as_file_mut();
    if old.metadata()?.len() < old.stream_position()? {
        old.rewind()?;
        rest.clear();
    }
    old.read_to_end(rest)?;
    if let Some(mut new) = now.filter(|now| now != file) {
        new.as_file_mut().read_to_end(rest)?;
        *file = new;
    }
    let end = rest.iter().rposition(|&byte| byte == b'\n');
    let next = rest.split_off(end.map_or(0, |end| end + 1));
    Ok(String::from_utf8_lossy(&mem::replace(rest, next)).into_owned())
}

/// A client that reads, and one that does not.
fn show(server: &Server) -> Result<(), Error> {
    let folder = tempfile::tempdir()?;
    let (path, old) = (folder.path().join("log"), folder.path().join("log.1"));
    fs::write(&path, "begin\n".repeat(20))?;
    let url = format!("ws://{}/", server.local_addr());
    let (served, serving) = (path.clone(), server.clone());
    thread::spawn(move || serve(&served, &serving));
    let (reader, idle) = (wsync::connect(&url)?, wsync::connect(&url)?);
    let begin = reader.iter().take(10).flatten().count();
    for part in 0..40 {
        match part % 5 {
            2 => fs::rename(&path, &old)?,
            4 => drop(File::create(&path)?),
            _ => {}
        }
        let mut log = File::options().create(true).append(true).open(&path)?;
        let lines: [_; 500] = std::array::from_fn(|n| format!("part {part}, line {n:200}"));
        writeln!(log, "{}", lines.join("\n"))?;
        for line in lines {
            assert_eq!(reader.recv()?.as_text(), Some(&*line));
        }
    }
    println!("the last {begin} lines, then 20000 in order; rotated and truncated 8 times each");
    let few = idle.iter().flatten().count();
    let end = idle.closed().unwrap_or_default();
    println!("who did not read got {few}: {end}");
    Ok(())
}
