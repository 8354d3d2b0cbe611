//! The fuzzer's bytes, from the front.

/// What is left of an input. Where there is nothing more, zeros come.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Input(data)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((byte, rest)) => {
                self.0 = rest;
                *byte
            }
            None => 0,
        }
    }

    pub fn usize(&mut self) -> usize {
        usize::from(self.byte())
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.usize() % from.len()]
    }

    /// At most so many bytes.
    pub fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// How a stream is cut into what single reads bring.
#[derive(Debug, Clone, Copy)]
pub enum Cuts {
    /// Each of so many bytes.
    Each(usize),
    /// One, after so many.
    Once(usize),
    /// Of other lengths each time; the state of a generator.
    Any(u32),
}

impl Cuts {
    pub fn from(input: &mut Input<'_>) -> Self {
        let (kind, number) = (input.byte(), input.byte());
        match kind % 4 {
            0 => Cuts::Each(1),
            1 => Cuts::Each(1 + usize::from(number)),
            2 => Cuts::Once(usize::from(number)),
            _ => Cuts::Any(u32::from(number) << 8 | u32::from(kind) | 1),
        }
    }

    fn next(&mut self) -> usize {
        match self {
            Cuts::Each(size) => *size,
            Cuts::Once(size) => std::mem::replace(size, usize::MAX),
            Cuts::Any(state) => {
                *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // Short ones mostly.
                let bits = 1 + (*state >> 28) % 6;
                (*state >> 16) as usize & ((1 << bits) - 1)
            }
        }
    }

    /// The pieces of `bytes`, some of them empty perhaps.
    pub fn of(mut self, mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
        std::iter::from_fn(move || {
            if bytes.is_empty() {
                return None;
            }
            let (piece, rest) = bytes.split_at(self.next().min(bytes.len()));
            bytes = rest;
            Some(piece)
        })
    }
}
