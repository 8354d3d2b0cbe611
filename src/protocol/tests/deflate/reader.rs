//! A reader of DEFLATE (RFC 1951) that shares nothing with the one under test, and says how far back
//! a stream refers.

use super::*;

/// Why reading stopped.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// At the end of the bytes, between two blocks.
    End,
    /// Within a block.
    Short,
    Wrong(&'static str),
}

use Stop::{Short, Wrong};

/// Reads blocks, final ones or not, to the end of its bytes.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    /// The next bit.
    at: usize,
    pub(super) output: Vec<u8>,
    /// The greatest distance of a reference.
    pub(super) farthest: usize,
}

/// The symbols of a code in the order of their code words, and how many have which length.
struct Code {
    lengths: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[usize]) -> Self {
        let mut code = Code {
            lengths: [0; 16],
            symbols: Vec::new(),
        };
        for bits in 1..16 {
            let of_this = (0..lengths.len()).filter(|symbol| lengths[*symbol] == bits);
            code.symbols.extend(of_this);
            code.lengths[bits] = lengths.iter().filter(|length| **length == bits).count();
        }
        code
    }
}

/// Symbols of lengths from 257 on, or of distances: the least of each, and how many bits follow.
const LENGTHS: [(usize, usize); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

/// In which order the lengths of the code of code lengths come.
const ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// The least distance of a symbol, and how many bits follow.
fn distance(symbol: usize) -> (usize, usize) {
    match symbol {
        0..4 => (symbol + 1, 0),
        _ => {
            let bits = symbol / 2 - 1;
            (((2 + symbol % 2) << bits) + 1, bits)
        }
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader {
            bytes,
            at: 0,
            output: Vec::new(),
            farthest: 0,
        }
    }

    pub(super) fn run(&mut self) -> Stop {
        loop {
            // What is less than a byte after a final block belongs to none.
            if self.at.div_ceil(8) >= self.bytes.len() {
                return Stop::End;
            }
            if let Err(stop) = self.block() {
                return stop;
            }
        }
    }

    fn block(&mut self) -> Result<(), Stop> {
        let is_final = self.bits(1)? == 1;
        match self.bits(2)? {
            0 => self.stored()?,
            1 => {
                let lengths: Vec<_> = [(8, 144), (9, 112), (7, 24), (8, 8)]
                    .into_iter()
                    .flat_map(|(bits, times)| vec![bits; times])
                    .collect();
                self.symbols(&Code::new(&lengths), &Code::new(&[5; 30]))?;
            }
            2 => {
                let (literals, distances) = self.codes()?;
                self.symbols(&literals, &distances)?;
            }
            _ => return Err(Wrong("a block of the third type")),
        }
        if is_final {
            self.align();
        }
        Ok(())
    }

    fn stored(&mut self) -> Result<(), Stop> {
        self.align();
        let (length, inverse) = (self.bits(16)?, self.bits(16)?);
        if length != !inverse & 0xffff {
            return Err(Wrong("a length and its inverse"));
        }
        for _ in 0..length {
            let byte = self.bits(8)?;
            self.output.push(byte as u8);
        }
        Ok(())
    }

    fn codes(&mut self) -> Result<(Code, Code), Stop> {
        let (literals, distances) = (self.bits(5)? + 257, self.bits(5)? + 1);
        let mut of_lengths = [0; 19];
        for place in &ORDER[..self.bits(4)? + 4] {
            of_lengths[*place] = self.bits(3)?;
        }
        let code = Code::new(&of_lengths);
        let mut lengths = Vec::new();
        while lengths.len() < literals + distances {
            let (length, times) = match self.symbol(&code)? {
                16 => (
                    *lengths.last().ok_or(Wrong("nothing to repeat"))?,
                    self.bits(2)? + 3,
                ),
                17 => (0, self.bits(3)? + 3),
                18 => (0, self.bits(7)? + 11),
                length => (length, 1),
            };
            lengths.resize(lengths.len() + times, length);
        }
        if lengths.len() > literals + distances {
            return Err(Wrong("too many lengths"));
        }
        let (literals, distances) = lengths.split_at(literals);
        Ok((Code::new(literals), Code::new(distances)))
    }

    fn symbols(&mut self, literals: &Code, distances: &Code) -> Result<(), Stop> {
        loop {
            match self.symbol(literals)? {
                literal @ 0..256 => self.output.push(literal as u8),
                256 => return Ok(()),
                symbol => {
                    let (least, bits) =
                        *(LENGTHS.get(symbol - 257)).ok_or(Wrong("no such length"))?;
                    let length = least + self.bits(bits)?;
                    let (least, bits) = distance(self.symbol(distances)?);
                    let distance = least + self.bits(bits)?;
                    self.copy(length, distance)?;
                }
            }
        }
    }

    fn copy(&mut self, length: usize, distance: usize) -> Result<(), Stop> {
        let start = self.output.len().checked_sub(distance);
        let start = start.ok_or(Wrong("a reference to before the begin"))?;
        self.farthest = self.farthest.max(distance);
        for from in start..start + length {
            self.output.push(self.output[from]);
        }
        Ok(())
    }

    fn symbol(&mut self, code: &Code) -> Result<usize, Stop> {
        let (mut word, mut first, mut index) = (0, 0, 0);
        for count in &code.lengths[1..] {
            word |= self.bits(1)?;
            if word < first + count {
                return Ok(code.symbols[index + word - first]);
            }
            index += count;
            first = (first + count) << 1;
            word <<= 1;
        }
        Err(Wrong("no such code word"))
    }

    fn bits(&mut self, count: usize) -> Result<usize, Stop> {
        let mut value = 0;
        for i in 0..count {
            let byte = *self.bytes.get(self.at / 8).ok_or(Short)?;
            value |= (usize::from(byte) >> (self.at % 8) & 1) << i;
            self.at += 1;
        }
        Ok(value)
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }
}

/// What the whole blocks at the front of `bytes`, and what is there of the next, hold.
pub(super) fn begin_of(bytes: &[u8]) -> Vec<u8> {
    let mut reader = Reader::new(bytes);
    reader.run();
    reader.output
}

#[test]
fn the_reader_knows_each_kind_of_block() {
    for (stream, output, farthest) in [
        ("f248cdc9c90700 0000ffff", &b"Hello"[..], 0),
        ("000500faff48656c6c6f", b"Hello", 0),
        ("f348cdc9c90700 f348cdc9c90700", b"HelloHello", 0),
        (
            "f248cdc9c907000000ffff f2001100000000ffff",
            b"HelloHello",
            5,
        ),
    ] {
        let stream = hex(stream);
        let mut reader = Reader::new(&stream);
        assert_eq!(reader.run(), Stop::End);
        assert_eq!((&reader.output[..], reader.farthest), (output, farthest));
    }
    // A dynamic block of C zlib.
    let squares: String = (0..60).map(|n| format!("{},", n * n)).collect();
    let stream = hex(
        "158ec101c030080217e2a1c69ab8ff623d5e240a78a1546b95a3fa7446bd9ad64b6584b2d06eb638160b9efad0b7\
         3ad5f849e3eb465febabd57747836fd0cbff327fec17df8e7b0966d0904955ba338bf23cbed23ef7f9ee18604c72\
         21cad76680b0c21469e28a559d6855474246a2c6afebd9f376f11d270efd8686fcd0779ae61f",
    );
    assert_eq!(begin_of(&stream), squares.as_bytes());
    assert_eq!(Reader::new(&stream).run(), Stop::End);
    for (stream, stop) in [
        ("f248cd", Short),
        ("f200110000", Wrong("a reference to before the begin")),
        ("06", Wrong("a block of the third type")),
        ("000500000048656c6c6f", Wrong("a length and its inverse")),
    ] {
        assert_eq!(Reader::new(&hex(stream)).run(), stop, "{stream}");
    }
}
