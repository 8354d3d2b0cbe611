//! Frame headers and control payloads (RFC 6455 sections 5.2 and 5.5).

use super::{Role, mask};
use crate::close::{CloseCode, CloseFrame};
use crate::error::ProtocolError;
use crate::message::Text;
use bytes::Bytes;
use std::io::Cursor;
use tungstenite::protocol::frame::FrameHeader;
pub(super) use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// The longest payload of a control frame (RFC 6455 section 5.5).
pub(crate) const MAX_CONTROL: usize = 125;

/// The longest header: 2 bytes, 8 of a length, 4 of a masking key.
const MAX_HEADER: usize = 14;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const RSV1: u8 = 0x40;

/// A header that was judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) fin: bool,
    /// RSV1 on the first frame of a message (RFC 7692 section 6).
    pub(super) compressed: bool,
    pub(super) opcode: OpCode,
    /// The masking key as it lies in memory; 0, which changes nothing, from a server.
    pub(super) key: u32,
    pub(super) length: u64,
}

impl Header {
    /// Parses the header at the front of `bytes` that came to `role`, and its length. `None`: more
    /// bytes are needed. The first two bytes are judged as soon as they are there; RSV1 has a meaning
    /// only with `deflate`.
    #[inline(always)]
    pub(super) fn parse(
        bytes: &[u8],
        role: Role,
        deflate: bool,
    ) -> Result<Option<(Header, usize)>, ProtocolError> {
        let [first, second, ..] = *bytes else {
            return Ok(None);
        };
        let opcode = judge(first, second, role, deflate)?;
        let compressed = first & RSV1 != 0;
        let masked = second & 0x80 != 0;
        if second & 0x7f < 126 {
            // The usual short frame: nothing is left to parse but the key.
            let key = match (masked, bytes.get(2..6)) {
                (false, _) => 0,
                (true, Some(&[a, b, c, d])) => u32::from_ne_bytes([a, b, c, d]),
                (true, _) => return Ok(None),
            };
            let header = Header {
                fin: first & 0x80 != 0,
                compressed,
                opcode,
                key,
                length: u64::from(second & 0x7f),
            };
            return Ok(Some((header, if masked { 6 } else { 2 })));
        }
        let mut cursor = Cursor::new(bytes);
        let Ok(Some((header, length))) = FrameHeader::parse(&mut cursor) else {
            return Ok(None);
        };
        judge_length(second & 0x7f, length)?;
        let header = Header {
            fin: header.is_final,
            compressed,
            opcode,
            key: u32::from_ne_bytes(header.mask.unwrap_or_default()),
            length,
        };
        Ok(Some((header, cursor.position() as usize)))
    }
}

/// All that two bytes tell.
#[inline(always)]
fn judge(first: u8, second: u8, role: Role, deflate: bool) -> Result<OpCode, ProtocolError> {
    let opcode = OpCode::from(first & 0x0f);
    if first & RESERVED != 0 && !is_compressed(first, opcode, deflate) {
        return Err(ProtocolError::ReservedBits);
    }
    match opcode {
        OpCode::Data(Data::Reserved(opcode)) | OpCode::Control(Control::Reserved(opcode)) => {
            return Err(ProtocolError::BadOpcode(opcode));
        }
        OpCode::Control(_) if first & 0x80 == 0 => return Err(ProtocolError::FragmentedControl),
        OpCode::Control(_) if second & 0x7f > MAX_CONTROL as u8 => {
            return Err(ProtocolError::ControlTooLong);
        }
        _ => {}
    }
    match (role, second & 0x80 != 0) {
        (Role::Server, false) => Err(ProtocolError::Unmasked),
        (Role::Client, true) => Err(ProtocolError::Masked),
        _ => Ok(opcode),
    }
}

/// RFC 7692 section 6: RSV1, if it was agreed on, and only where a message begins.
fn is_compressed(first: u8, opcode: OpCode, deflate: bool) -> bool {
    let begins = matches!(opcode, OpCode::Data(Data::Text | Data::Binary));
    first & RESERVED == RSV1 && deflate && begins
}

/// The minimal number of bytes must be used, and the highest bit must be 0 (section 5.2).
fn judge_length(form: u8, length: u64) -> Result<(), ProtocolError> {
    match form {
        126 if length < 126 => Err(ProtocolError::LengthForm),
        127 if length <= u64::from(u16::MAX) => Err(ProtocolError::LengthForm),
        127 if length >= 1 << 63 => Err(ProtocolError::LengthOverflow),
        _ => Ok(()),
    }
}

/// How a frame begins: its first byte.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start(u8);

impl Start {
    /// The only frame of a message, or a control frame.
    #[inline]
    pub(super) fn whole(opcode: OpCode) -> Self {
        Start(FIN | u8::from(opcode))
    }

    /// Of a frame behind which there are others of the message.
    pub(super) fn unfinished(self) -> Self {
        Start(self.0 & !FIN)
    }

    /// Of a message that is compressed (RFC 7692 section 6).
    pub(super) fn compressed(self) -> Self {
        Start(self.0 | RSV1)
    }
}

/// Room for a frame with a payload of `length` bytes, and for making it.
#[inline]
pub(super) fn room(length: usize) -> usize {
    MAX_HEADER + length + mask::SPARE
}

/// Appends a frame, for which there is [`room`]. A client's is masked with a fresh key (section 5.3).
pub(super) fn append(out: &mut Vec<u8>, role: Role, start: Start, payload: &[u8]) {
    // One number, not four bytes: each of those would take a number of its own.
    let key = (role == Role::Client).then(rand::random::<u32>);
    append_header(out, start, key, payload.len());
    match key {
        Some(key) => mask::append(out, payload, key),
        None => out.extend_from_slice(payload),
    }
}

/// Appends a header for a payload of `length` bytes. The key is as it lies in memory.
#[inline]
pub(super) fn append_header(out: &mut Vec<u8>, start: Start, key: Option<u32>, length: usize) {
    let Start(first) = start;
    let mask = if key.is_some() { 0x80 } else { 0 };
    match length {
        0..=125 => out.extend_from_slice(&[first, mask | length as u8]),
        126..=0xffff => {
            let [high, low] = (length as u16).to_be_bytes();
            out.extend_from_slice(&[first, mask | 126, high, low]);
        }
        _ => {
            out.extend_from_slice(&[first, mask | 127]);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    if let Some(key) = key {
        out.extend_from_slice(&key.to_ne_bytes());
    }
}

/// Appends a Close frame; without a body for [`CloseCode::NO_STATUS`].
pub(super) fn append_close(out: &mut Vec<u8>, role: Role, frame: &CloseFrame) {
    let mut body = Vec::new();
    if frame.code != CloseCode::NO_STATUS {
        body.extend_from_slice(&u16::from(frame.code).to_be_bytes());
        body.extend_from_slice(frame.reason.as_bytes());
    }
    append(
        out,
        role,
        Start::whole(OpCode::Control(Control::Close)),
        &body,
    );
}

/// Reads the body of a Close frame (section 5.5.1).
pub(super) fn parse_close(body: &[u8]) -> Result<CloseFrame, ProtocolError> {
    match *body {
        [] => Ok(CloseFrame::no_status()),
        [_] => Err(ProtocolError::CloseLength),
        [high, low, ref reason @ ..] => {
            let code = u16::from_be_bytes([high, low]);
            if !CloseCode::from(code).is_sendable() {
                return Err(ProtocolError::BadCloseCode(code));
            }
            let reason =
                Text::try_from(Bytes::copy_from_slice(reason)).map_err(|_| ProtocolError::Utf8)?;
            Ok(CloseFrame {
                code: code.into(),
                reason,
            })
        }
    }
}
