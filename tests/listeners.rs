//! Servers of several listeners, and where those come from.

#![allow(clippy::unwrap_used)]

mod common;

use common::{LATE, Scheme, client_builder, echo, is_echoed, spawn, watchdog};
use std::net::{TcpListener, TcpStream};
use wsync::{ClientBuilder, Error, ListenAddr, Listener, Misuse, Server, ServerBuilder};

fn tcp() -> Listener {
    Listener::tcp("127.0.0.1:0").unwrap()
}

fn port(addr: &ListenAddr) -> u16 {
    match addr {
        ListenAddr::Tcp(addr) => addr.port(),
        other => panic!("{other}"),
    }
}

/// A socket that was opened elsewhere, and a server of it.
fn inherited() -> (TcpListener, ServerBuilder) {
    let inherited = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::builder().listen(inherited.try_clone().unwrap());
    (inherited, server)
}

/// On Linux nobody can accept from it any more.
#[cfg(target_os = "linux")]
fn break_it(listener: &TcpListener) {
    let socket = socket2::SockRef::from(listener);
    socket.shutdown(std::net::Shutdown::Both).unwrap();
}

fn over_tcp(addr: &ListenAddr) -> ClientBuilder {
    client_builder(Scheme::Ws, port(addr))
}

#[test]
fn a_server_serves_the_clients_of_all_its_listeners() {
    watchdog(60, || {
        let builder = Server::builder().listen(tcp()).listen(tcp());
        let server = builder.bind("127.0.0.1:0").unwrap();
        let addrs = server.local_addrs().to_vec();
        assert_eq!(addrs.len(), 3);
        assert_eq!(addrs[0], ListenAddr::Tcp(server.local_addr()));
        let serving = server.clone();
        let serving = spawn(move || serving.serve(echo));
        for addr in addrs.iter().rev().chain(&addrs) {
            is_echoed(&over_tcp(addr));
        }
        server.shutdown().unwrap();
        serving.within(LATE, "serving").unwrap();
        for addr in &addrs {
            over_tcp(addr).connect().unwrap_err();
        }
    });
}

#[test]
fn incoming_gives_the_clients_of_all_listeners() {
    watchdog(60, || {
        let server = Server::builder().listen(tcp()).listen(tcp());
        let server = server.build().unwrap();
        let mut incoming = server.incoming().unwrap();
        for addr in server.local_addrs() {
            let client = over_tcp(addr);
            let client = spawn(move || is_echoed(&client));
            echo(incoming.next().unwrap().accept().unwrap());
            client.within(LATE, "the client");
        }
    });
}

#[test]
#[cfg(feature = "native-tls")]
fn each_listener_has_the_tls_of_its_own_or_else_the_servers() {
    watchdog(60, || {
        let server = Server::builder()
            .tls(common::server_tls())
            .listen(tcp().tls(None))
            .listen(tcp())
            .listen(tcp().tls(common::server_tls()));
        let server = server.build().unwrap();
        let serving = server.clone();
        let _serving = spawn(move || serving.serve(echo));
        let ports: Vec<_> = server.local_addrs().iter().map(port).collect();
        let [plain, default, own] = ports[..] else {
            panic!("{ports:?}");
        };
        is_echoed(&client_builder(Scheme::Ws, plain));
        is_echoed(&client_builder(Scheme::Wss, default));
        is_echoed(&client_builder(Scheme::Wss, own));
        let error = client_builder(Scheme::Wss, plain).connect().unwrap_err();
        assert!(matches!(error, Error::Tls(_)), "{error}");

        let server = Server::builder().listen(tcp());
        let server = server.listen(tcp().tls(common::server_tls()));
        let server = server.build().unwrap();
        let serving = server.clone();
        let _serving = spawn(move || serving.serve(echo));
        is_echoed(&over_tcp(&server.local_addrs()[0]));
        is_echoed(&client_builder(Scheme::Wss, port(&server.local_addrs()[1])));
    });
}

#[test]
fn a_server_that_stops_gives_its_ports_back_and_leaves_an_inherited_socket_as_it_is() {
    watchdog(60, || {
        let (inherited, server) = inherited();
        let server = server.listen(tcp()).build().unwrap();
        let [of_inherited, own] = server.local_addrs() else {
            panic!("{server:?}");
        };
        let servings = [(); 2].map(|()| server.clone());
        let servings = servings.map(|serving| spawn(move || serving.serve(echo)));
        is_echoed(&over_tcp(of_inherited));
        is_echoed(&over_tcp(own));
        server.shutdown().unwrap();
        // At once, whoever still holds the server.
        TcpListener::bind(("127.0.0.1", port(own))).unwrap();
        for serving in servings {
            serving.within(LATE, "serving").unwrap();
        }
        inherited.set_nonblocking(false).unwrap();
        let client = TcpStream::connect(inherited.local_addr().unwrap()).unwrap();
        let (_, from) = inherited.accept().unwrap();
        assert_eq!(from, client.local_addr().unwrap());
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_listener_that_breaks_does_not_take_the_others_along_and_is_told_of() {
    watchdog(60, || {
        let (inherited, server) = inherited();
        let server = server.listen(tcp()).build().unwrap();
        let [breaks, stays] = [0, 1].map(|at| over_tcp(&server.local_addrs()[at]));
        let serving = server.clone();
        let serving = spawn(move || serving.serve(echo));
        is_echoed(&breaks);
        break_it(&inherited);
        for _ in 0..3 {
            is_echoed(&stays);
            breaks.connect().unwrap_err();
        }
        assert!(serving.is_running());
        server.shutdown().unwrap();
        let error = serving.within(LATE, "serving").unwrap_err();
        assert!(matches!(error, Error::Io(_)), "{error}");
    });
}

#[test]
#[cfg(target_os = "linux")]
fn serving_ends_with_an_error_when_the_last_listener_breaks() {
    watchdog(60, || {
        let (inherited, server) = inherited();
        let server = server.build().unwrap();
        let serving = spawn(move || server.serve(echo));
        break_it(&inherited);
        let error = serving.within(LATE, "serving").unwrap_err();
        assert!(matches!(error, Error::Io(_)), "{error}");
    });
}

#[test]
fn a_server_needs_a_listener_and_room_on_the_stack() {
    let error = Server::builder().build().unwrap_err();
    assert!(matches!(error, Error::Misuse(Misuse::Config(_))), "{error}");
    let builder = Server::builder().stack_size(127 << 10);
    let error = builder.bind("127.0.0.1:0").unwrap_err();
    assert!(matches!(error, Error::Misuse(Misuse::Config(_))), "{error}");
    let taken = tcp();
    let ListenAddr::Tcp(addr) = taken.local_addr().unwrap() else {
        panic!("{taken:?}");
    };
    let error = Listener::tcp(addr).unwrap_err();
    assert!(matches!(error, Error::Io(_)), "{error}");
}

/// So deep in KiB; the sum keeps the frames apart.
fn dig(kib: usize) -> u64 {
    let frame = std::hint::black_box([1_u8; 1024]);
    match kib {
        0 => 0,
        kib => dig(kib - 1) + u64::from(frame[kib % 1024]),
    }
}

#[test]
fn handlers_have_the_stack_that_was_asked_for() {
    watchdog(60, || {
        for (bytes, deep) in [(16 << 20, 4096), (128 << 10, 4)] {
            for &scheme in Scheme::all() {
                let builder = common::server_builder(scheme).stack_size(bytes);
                let serving = common::Serving::new(builder, move |ws| {
                    ws.send(dig(deep).to_string()).unwrap();
                });
                let ws = client_builder(scheme, serving.port).connect().unwrap();
                let answer = ws.recv_timeout(LATE).unwrap();
                assert_eq!(answer.as_text(), Some(&*deep.to_string()));
            }
        }
    });
}

#[test]
fn ipv4_and_ipv6_may_have_a_listener_each_on_the_same_port() {
    watchdog(60, || {
        let Ok(six) = Listener::builder().only_v6(true).tcp("[::]:0") else {
            assert!(TcpListener::bind("[::1]:0").is_err(), "there is IPv6");
            return;
        };
        let port = port(&six.local_addr().unwrap());
        let four = Listener::tcp(("0.0.0.0", port));
        // Somebody else may have it.
        let four = four.unwrap_or_else(|_| tcp());
        let builder = Server::builder().listen(six).listen(four);
        let server = builder.build().unwrap();
        let addrs = server.local_addrs().to_vec();
        let _serving = spawn(move || server.serve(echo));
        is_echoed(&ClientBuilder::new(format!("ws://[::1]:{port}/")));
        is_echoed(&over_tcp(&addrs[1]));
    });
}

#[cfg(unix)]
mod unix {
    use super::*;
    use socket2::{Domain, SockAddr, Socket, Type};
    use std::io::ErrorKind;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use wsync::ServerLimits;

    /// A place for a socket, which is gone at the end.
    struct Place(PathBuf);

    impl Place {
        fn new() -> Self {
            static NEXT: AtomicUsize = AtomicUsize::new(0);
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("wsync-{}-{next}.sock", std::process::id());
            Place(std::env::temp_dir().join(name))
        }

        fn client(&self) -> ClientBuilder {
            ClientBuilder::new(format!("ws+unix:{}", self.0.display()))
        }
    }

    impl std::ops::Deref for Place {
        type Target = Path;

        fn deref(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    /// One that waits for nothing.
    fn socket() -> Socket {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }

    fn is_in_use(error: &Error) -> bool {
        matches!(error, Error::Io(e) if e.kind() == ErrorKind::AddrInUse)
    }

    #[test]
    fn a_server_on_a_unix_socket_serves_stops_and_removes_the_file() {
        watchdog(60, || {
            let place = Place::new();
            let server = Server::builder().listen(Listener::unix(&*place).unwrap());
            let server = server.listen(tcp()).build().unwrap();
            let of_unix = ListenAddr::Unix(Some(place.to_owned()));
            assert_eq!(server.local_addrs()[0], of_unix);
            assert_eq!(of_unix.to_string(), place.display().to_string());
            assert_eq!(port(&server.local_addrs()[1]), server.local_addr().port());
            let serving = server.clone();
            let serving = spawn(move || serving.serve(echo));
            is_echoed(&place.client());
            is_echoed(&over_tcp(&server.local_addrs()[1]));
            server.shutdown().unwrap();
            assert!(!place.exists());
            serving.within(LATE, "serving").unwrap();
        });
    }

    #[test]
    fn without_tcp_the_local_address_is_nowhere() {
        let place = Place::new();
        let server = Server::builder().listen(Listener::unix(&*place).unwrap());
        let server = server.build().unwrap();
        assert_eq!(server.local_addr(), "0.0.0.0:0".parse().unwrap());
        drop(server);
        assert!(!place.exists());
    }

    #[test]
    fn a_path_is_taken_from_a_socket_that_is_gone_and_from_nobody_else() {
        watchdog(60, || {
            let place = Place::new();
            let (theirs, at) = (socket(), SockAddr::unix(&*place).unwrap());
            theirs.bind(&at).unwrap();
            theirs.listen(1).unwrap();
            assert!(is_in_use(&Listener::unix(&*place).unwrap_err()));
            // Nor when it does not answer.
            let mut waiting = vec![socket()];
            while waiting[waiting.len() - 1].connect(&at).is_ok() {
                waiting.push(socket());
            }
            assert!(is_in_use(&Listener::unix(&*place).unwrap_err()));
            drop(theirs);
            let ours = Listener::unix(&*place).unwrap();
            UnixStream::connect(&*place).unwrap();
            drop(ours);
            assert!(!place.exists());

            std::fs::write(&*place, "precious").unwrap();
            assert!(is_in_use(&Listener::unix(&*place).unwrap_err()));
            assert_eq!(std::fs::read(&*place).unwrap(), b"precious");
        });
    }

    #[test]
    fn a_file_of_another_is_not_removed() {
        let place = Place::new();
        let ours = Listener::unix(&*place).unwrap();
        std::fs::remove_file(&*place).unwrap();
        let _theirs = UnixListener::bind(&*place).unwrap();
        drop(ours);
        assert!(place.exists());
    }

    #[test]
    fn an_inherited_unix_socket_is_served_and_stays() {
        watchdog(60, || {
            let place = Place::new();
            let inherited = UnixListener::bind(&*place).unwrap();
            let server = Server::builder().listen(inherited.try_clone().unwrap());
            let server = server.build().unwrap();
            let serving = server.clone();
            let serving = spawn(move || serving.serve(echo));
            is_echoed(&place.client());
            server.shutdown().unwrap();
            serving.within(LATE, "serving").unwrap();
            UnixStream::connect(&*place).unwrap();
            inherited.accept().unwrap();
        });
    }

    #[test]
    fn clients_of_a_unix_socket_are_counted_in_all_and_not_by_address() {
        watchdog(60, || {
            let place = Place::new();
            let mut limits = ServerLimits::default();
            limits.per_address = Some(1);
            limits.connections = Some(4);
            let server = Server::builder().limits(limits).listen(tcp());
            let server = server.listen(Listener::unix(&*place).unwrap());
            let server = server.build().unwrap();
            let of_tcp = over_tcp(&server.local_addrs()[0]);
            let _serving = spawn(move || server.serve(echo));
            let status = |builder: &ClientBuilder| {
                let error = builder.connect().unwrap_err();
                error.response().map(|response| response.status().as_u16())
            };
            let _first = of_tcp.connect().unwrap();
            assert_eq!(status(&of_tcp), Some(503));
            let _others = [(); 3].map(|()| place.client().connect().unwrap());
            assert_eq!(status(&place.client()), Some(503));
        });
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn so_many_may_wait_to_be_accepted() {
        let place = Place::new();
        let listener = Listener::builder().backlog(2).unix(&*place).unwrap();
        let at = SockAddr::unix(&*place).unwrap();
        let sockets = [(); 4].map(|()| socket());
        let connected = sockets.each_ref().map(|socket| socket.connect(&at).is_ok());
        // Linux lets one more wait.
        assert_eq!(connected, [true, true, true, false]);
        drop(listener);
    }

    #[test]
    fn servers_may_share_a_port_if_all_of_them_ask_for_it() {
        watchdog(60, || {
            let shared = || Listener::builder().reuse_port(true);
            let first = shared().tcp("127.0.0.1:0").unwrap();
            let at = ("127.0.0.1", port(&first.local_addr().unwrap()));
            let second = shared().tcp(at).unwrap();
            Listener::tcp(at).unwrap_err();
            drop(first);
            let server = Server::builder().listen(second).build().unwrap();
            let client = over_tcp(&server.local_addrs()[0]);
            let _serving = spawn(move || server.serve(echo));
            is_echoed(&client);
        });
    }
}
