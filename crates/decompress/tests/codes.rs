//! Members with codes that do not exist, and with the checksum and length of what a decoder that takes them would give: the
//! verdict does not depend on how many threads decode.

use std::io::{Read, Write};

use fhirline_decompress::{Decoder, DecompressError, Limits};

// ---- deflate, bit by bit ---------------------------------------------------------------------------------------------

const LITERAL: usize = b'a' as usize;
const END: usize = 256;
/// Stands for three bytes.
const LENGTH: usize = 257;

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    count: usize,
}

impl Bits {
    fn bit(mut self, bit: bool) -> Self {
        if self.count.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(bit) << (self.count % 8);
        }
        self.count += 1;
        self
    }

    /// A number: its lowest bit first.
    fn number(self, number: usize, bits: u32) -> Self {
        (0..bits).fold(self, |this, at| this.bit(number >> at & 1 == 1))
    }

    /// A code: its highest bit first.
    fn code(self, code: usize, bits: u32) -> Self {
        (0..bits).rev().fold(self, |this, at| this.bit(code >> at & 1 == 1))
    }

    /// A symbol of the fixed code for literals and lengths.
    fn fixed(self, symbol: usize) -> Self {
        match symbol {
            0..144 => self.code(0x30 + symbol, 8),
            144..256 => self.code(0x190 + symbol - 144, 9),
            256..280 => self.code(symbol - 256, 7),
            _ => self.code(0xc0 + symbol - 280, 8),
        }
    }

    /// The beginning of a block: whether it is the last, and how it is stored.
    fn block(self, is_last: bool, kind: usize) -> Self {
        self.bit(is_last).number(kind, 2)
    }

    /// The last block, with codes of its own: the length of each symbol's, in full.
    fn codes(self, literals: &[usize], distances: &[usize]) -> Self {
        // Each length has a code of four bits, which is the length itself; the last in the order is that of 15.
        const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let head = self.block(true, 2).number(literals.len() - 257, 5).number(distances.len() - 1, 5);
        let head = ORDER
            .iter()
            .fold(head.number(15, 4), |this, &length| this.number(if length < 16 { 4 } else { 0 }, 3));
        literals.iter().chain(distances).fold(head, |this, &length| this.code(length, 4))
    }

    /// The member of these blocks, of which `data` is thought to come out.
    fn member(self, data: &[u8]) -> Vec<u8> {
        let mut crc = flate2::Crc::new();
        crc.update(data);
        [
            &b"\x1f\x8b\x08\0\0\0\0\0\0\xff"[..],
            &self.bytes,
            &crc.sum().to_le_bytes(),
            &(data.len() as u32).to_le_bytes(),
        ]
        .concat()
    }
}

/// The code `0` for the length, `10` for the literal and `11` for the end.
fn literals(symbols: usize) -> Vec<usize> {
    let mut lengths = vec![0; symbols];
    (lengths[LENGTH], lengths[LITERAL], lengths[END]) = (1, 2, 2);
    lengths
}

/// The literal, the length with a distance of one bit, and the end, in the code of [`literals`].
fn four_letters(literals: &[usize], distances: &[usize], distance: usize) -> Vec<u8> {
    let block = Bits::default().codes(literals, distances);
    block.code(2, 2).code(0, 1).code(distance, 1).code(3, 2).member(b"aaaa")
}

/// A length of the fixed code with the distance 1.
fn fixed_length(symbol: usize, decoded_bytes: usize) -> Vec<u8> {
    let block = Bits::default().block(true, 1).fixed(LITERAL);
    block.fixed(symbol).code(0, 5).fixed(END).member(&vec![b'a'; decoded_bytes])
}

/// A distance of the fixed code with so many bits behind it, all 0, and 30,000 bytes before it.
fn fixed_distance(symbol: usize, distance: usize, more_bits: u32) -> Vec<u8> {
    let before: Vec<u8> = (0..30_000u32).map(|n| ((n * n) >> 7) as u8).collect();
    let mut bits =
        Bits::default().block(false, 0).number(0, 5).number(30_000, 16).number(!30_000 & 0xffff, 16);
    bits.bytes.extend_from_slice(&before);
    bits.count = 8 * bits.bytes.len();
    let block = bits.block(true, 1).fixed(LENGTH).code(symbol, 5).number(0, more_bits).fixed(END);
    let from = before.len() - distance;
    block.member(&[&before[..], &before[from..from + 3]].concat())
}

/// A code with one symbol for literals and lengths, the end, behind a block with one letter.
fn only_end(bit: usize) -> Vec<u8> {
    let mut lengths = vec![0; 257];
    lengths[END] = 1;
    let before = Bits::default().block(false, 1).fixed(LITERAL).fixed(END);
    before.codes(&lengths, &[0]).code(bit, 1).member(b"a")
}

// ---- the verdict -----------------------------------------------------------------------------------------------------

fn decode(stored: &[u8], limits: Limits) -> (Vec<u8>, Option<DecompressError>) {
    let mut decoder = Decoder::new(stored, limits).expect("the first member is sound");
    let mut data = Vec::new();
    let end = decoder.read_to_end(&mut data);
    (data, end.err().map(|error| DecompressError::find_in(&error).expect("a slice does not fail")))
}

/// Whether the member is sound, with any number of threads, among others.
fn is_sound(member: &[u8]) -> bool {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"some data").expect("a vector");
    let sound = encoder.finish().expect("a vector");
    let stored = [&sound.repeat(3)[..], member, &sound.repeat(3)].concat();
    let (data, end) = decode(&stored, Limits::default());
    for threads in 1..=8 {
        let told = decode(&stored, Limits::default().with_ahead(threads, 16 << 20));
        assert!(told == (data.clone(), end), "{threads} threads: {:?}, one after the other: {end:?}", told.1);
    }
    assert!(matches!(end, None | Some(DecompressError::Corrupt { .. })), "{end:?}");
    end.is_none()
}

#[test]
fn codes_that_exist_are_read() {
    assert!(is_sound(&fixed_length(LENGTH, 4)) && is_sound(&fixed_length(285, 259)));
    assert!(is_sound(&fixed_distance(29, 24_577, 13)));
    assert!(is_sound(&four_letters(&literals(258), &[1, 1], 0)));
    assert!(is_sound(&four_letters(&literals(286), &[[1, 1].as_slice(), &[0; 28]].concat(), 0)));
}

#[test]
fn length_symbols_286_and_287_are_refused() {
    assert!(!is_sound(&fixed_length(286, 259)));
    assert!(!is_sound(&fixed_length(287, 259)));
}

#[test]
fn distance_symbols_30_and_31_are_refused() {
    // Whoever takes them gives them the distances of 28 or 29, and their bits.
    for symbol in [30, 31] {
        assert!(!is_sound(&fixed_distance(symbol, 16_385, 13)));
        assert!(!is_sound(&fixed_distance(symbol, 24_577, 13)));
    }
}

#[test]
fn more_symbols_than_there_are_are_refused() {
    for symbols in [287, 288] {
        assert!(!is_sound(&four_letters(&literals(symbols), &[1, 1], 0)));
    }
    for more in [29, 30] {
        assert!(!is_sound(&four_letters(&literals(258), &[&[1, 1][..], &vec![0; more]].concat(), 0)));
    }
}

#[test]
fn the_unused_half_of_a_code_with_one_symbol_is_refused() {
    assert!(is_sound(&four_letters(&literals(258), &[1], 0)));
    assert!(!is_sound(&four_letters(&literals(258), &[1], 1)));
    assert!(is_sound(&only_end(0)));
    assert!(!is_sound(&only_end(1)));
}
