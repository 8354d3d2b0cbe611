//! Sockets and TLS; no protocol.
