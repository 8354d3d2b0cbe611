//! Addresses of WebSocket servers (RFC 6455 section 3).
