//! A proxy that does what it is told, over TCP or TLS, and remembers what it was asked.

use super::{CHAIN, KEY, LATE, Scheme};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How it is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http,
    Socks5,
    Socks4a,
}

/// What it was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) target: String,
    pub(crate) credentials: Option<String>,
}

/// A proxy on the loopback, until the process ends.
pub(crate) struct TestProxy {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl TestProxy {
    /// Wants these credentials, if there are any: as they stand in a header, or with a colon between.
    pub(crate) fn start(speaks: Speaks, scheme: Scheme, credentials: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let noted = Arc::clone(&noted);
                thread::spawn(move || drop(serve(client, speaks, scheme, credentials, &noted)));
            }
        });
        TestProxy { port, asked }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

fn serve(
    client: TcpStream,
    speaks: Speaks,
    scheme: Scheme,
    credentials: Option<&str>,
    noted: &Mutex<Vec<Asked>>,
) -> io::Result<()> {
    client.set_read_timeout(Some(LATE))?;
    let tcp = client.try_clone()?;
    let mut client: Box<dyn Stream> = match scheme {
        Scheme::Ws => Box::new(client),
        Scheme::Wss => tls::accept(client)?,
    };
    let asked = match speaks {
        Speaks::Http => http(&mut client, credentials)?,
        Speaks::Socks5 => socks5(&mut client, credentials)?,
        Speaks::Socks4a => socks4a(&mut client)?,
    };
    noted.lock().unwrap().push(asked.clone());
    let server = TcpStream::connect(&asked.target);
    client.write_all(match (speaks, server.is_ok()) {
        (Speaks::Http, true) => b"HTTP/1.1 200 Connection established\r\n\r\n",
        (Speaks::Http, false) => b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
        (Speaks::Socks5, true) => b"\x05\0\0\x01\0\0\0\0\0\0",
        (Speaks::Socks5, false) => b"\x05\x05\0\x01\0\0\0\0\0\0",
        (Speaks::Socks4a, true) => b"\0\x5a\0\0\0\0\0\0",
        (Speaks::Socks4a, false) => b"\0\x5b\0\0\0\0\0\0",
    })?;
    let mut server = server?;
    for stream in [&tcp, &server] {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_millis(1)))?;
    }
    while pass(&mut client, &mut server)? && pass(&mut server, &mut client)? {}
    Ok(())
}

/// What is there, from one to the other. False at the end.
fn pass(from: &mut impl Read, to: &mut impl Write) -> io::Result<bool> {
    let mut bytes = vec![0; 64 << 10];
    match from.read(&mut bytes) {
        Ok(0) => Ok(false),
        Ok(n) => to.write_all(&bytes[..n]).map(|()| true),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(true),
        Err(e) => Err(e),
    }
}

fn refused() -> io::Error {
    io::Error::from(ErrorKind::PermissionDenied)
}

fn http(client: &mut impl Stream, wanted: Option<&str>) -> io::Result<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(byte(client)?);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.strip_prefix("CONNECT ").unwrap();
    let target = target.split_once(' ').unwrap().0.to_owned();
    assert!(head.contains(&format!("\r\nHost: {target}\r\n")), "{head}");
    let line = head
        .lines()
        .find_map(|l| l.strip_prefix("Proxy-Authorization: "));
    if wanted.is_some() && line != wanted {
        client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")?;
        return Err(refused());
    }
    Ok(Asked {
        target,
        credentials: line.map(str::to_owned),
    })
}

fn socks5(client: &mut impl Stream, wanted: Option<&str>) -> io::Result<Asked> {
    assert_eq!(byte(client)?, 5);
    let methods = prefixed(client)?;
    let method = if wanted.is_some() { 2 } else { 0 };
    if !methods.contains(&method) {
        client.write_all(&[5, 0xff])?;
        return Err(refused());
    }
    client.write_all(&[5, method])?;
    let mut credentials = None;
    if method == 2 {
        assert_eq!(byte(client)?, 1);
        let (user, password) = (prefixed(client)?, prefixed(client)?);
        let given = [&user[..], b":", &password].concat();
        let given = String::from_utf8(given).unwrap();
        let right = wanted == Some(&given);
        client.write_all(&[1, u8::from(!right)])?;
        if !right {
            return Err(refused());
        }
        credentials = Some(given);
    }
    let request = [byte(client)?, byte(client)?, byte(client)?];
    assert_eq!(request, [5, 1, 0]);
    let host = match byte(client)? {
        1 => {
            let octets: Vec<_> = (0..4).map(|_| byte(client)).collect::<io::Result<_>>()?;
            let octets: Vec<_> = octets.iter().map(u8::to_string).collect();
            octets.join(".")
        }
        3 => String::from_utf8(prefixed(client)?).unwrap(),
        kind => panic!("an address of kind {kind}"),
    };
    let port = u16::from_be_bytes([byte(client)?, byte(client)?]);
    Ok(Asked {
        target: format!("{host}:{port}"),
        credentials,
    })
}

fn socks4a(client: &mut impl Stream) -> io::Result<Asked> {
    assert_eq!([byte(client)?, byte(client)?], [4, 1]);
    let port = u16::from_be_bytes([byte(client)?, byte(client)?]);
    let address: Vec<_> = (0..4).map(|_| byte(client)).collect::<io::Result<_>>()?;
    let user = until_zero(client)?;
    let host = match address[..] {
        [0, 0, 0, 1..=255] => until_zero(client)?,
        [a, b, c, d] => format!("{a}.{b}.{c}.{d}"),
        _ => panic!("four bytes"),
    };
    Ok(Asked {
        target: format!("{host}:{port}"),
        credentials: Some(user).filter(|user| !user.is_empty()),
    })
}

fn byte(client: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    client.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn prefixed(client: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; byte(client)?.into()];
    client.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn until_zero(client: &mut impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    loop {
        match byte(client)? {
            0 => return Ok(String::from_utf8(bytes).unwrap()),
            byte => bytes.push(byte),
        }
    }
}

#[cfg(any(feature = "native-tls", feature = "rustls"))]
mod tls {
    use super::*;

    pub(super) fn accept(stream: TcpStream) -> io::Result<Box<dyn Stream>> {
        let identity = native_tls::Identity::from_pkcs8(CHAIN, KEY).unwrap();
        let acceptor = native_tls::TlsAcceptor::new(identity).unwrap();
        let accepted = acceptor.accept(stream).map_err(io::Error::other)?;
        Ok(Box::new(accepted))
    }
}

#[cfg(not(any(feature = "native-tls", feature = "rustls")))]
mod tls {
    use super::*;

    pub(super) fn accept(_: TcpStream) -> io::Result<Box<dyn Stream>> {
        let _ = (CHAIN, KEY);
        Err(ErrorKind::Unsupported.into())
    }
}
