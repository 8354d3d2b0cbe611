//! cargo run --example tls
//!
//! wss: a server with a certificate, and a client that trusts the root it hangs on.

use std::thread;
use wsync::{ClientBuilder, Error, Server, TlsConfig};

// The key is public: for tests only.
const CHAIN: &[u8] = include_bytes!("../tests/certs/server.pem");
const KEY: &[u8] = include_bytes!("../tests/certs/server.key");
const ROOT: &[u8] = include_bytes!("../tests/certs/ca.pem");

fn main() -> Result<(), Error> {
    let server = Server::builder()
        .tls(TlsConfig::server(CHAIN, KEY)?)
        .bind("127.0.0.1:0")?;
    let serving = server.clone();
    let serving = thread::spawn(move || {
        serving.serve(|ws| {
            for message in ws.iter().map_while(Result::ok) {
                println!("server  received {:?}", message.as_text());
                let _ = ws.send(message);
            }
        })
    });

    // The name must be one of those in the certificate.
    let url = format!("wss://localhost:{}/", server.local_addr().port());
    // With a public certificate, the roots of the system do: wsync::connect(&url).
    let tls = TlsConfig::client()
        .add_root_certificate_pem(ROOT)?
        .disable_built_in_roots(true);
    let ws = ClientBuilder::new(&url).tls(tls).connect()?;
    println!("client  connected to {url}");
    ws.send("a secret")?;
    println!("client  received {:?}", ws.recv()?.as_text());
    println!("client  closed: {}", ws.close()?);

    match wsync::connect(&url) {
        Ok(_) => println!("client  trusts a root it does not know?"),
        Err(error) => println!("client  without the root: {error}"),
    }

    server.shutdown()?;
    serving.join().expect("the server does not panic")
}
