//! One gzip member in one go.

use libdeflater::{Crc, Decompressor};
use memchr::memmem;

/// The shortest member: header, an empty block, trailer.
const LEAST_BYTES: usize = 10 + 2 + 8;

/// The fixed part of a header.
const HEADER_BYTES: usize = 10;

/// The flag of a header with a checksum of its own, which libdeflate does not check.
const HEADER_CHECKSUM: u8 = 2;

/// A member that was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    pub(crate) stored_bytes: usize,
    /// Never 0.
    pub(crate) decoded_bytes: usize,
}

/// Decodes the member that begins with `stored` and ends somewhere in it. `None` says nothing about what is wrong, nor
/// that anything is: there may be too little room.
///
/// libdeflate says whether there is a member, and checks its trailer, but its safe binding does not say where it ends. The
/// trailer tells: it holds checksum and length of what came out. If these eight bytes stand in one place only, the member
/// ends there.
pub(crate) fn decode_whole(inflate: &mut Decompressor, stored: &[u8], out: &mut [u8]) -> Option<Whole> {
    if stored.len() < LEAST_BYTES || stored[3] & HEADER_CHECKSUM != 0 {
        return None;
    }
    let decoded_bytes = inflate.gzip_decompress(stored, out).ok()?;
    let stored_bytes = only_end(stored, &trailer(&out[..decoded_bytes]))?;
    (decoded_bytes > 0).then_some(Whole { stored_bytes, decoded_bytes })
}

fn trailer(decoded: &[u8]) -> [u8; 8] {
    let mut crc = Crc::new();
    crc.update(decoded);
    // The length is stored modulo 2^32.
    (u64::from(crc.sum()) | (decoded.len() as u64) << 32).to_le_bytes()
}

/// Where those bytes end, if they stand in one place only behind the header.
fn only_end(stored: &[u8], trailer: &[u8; 8]) -> Option<usize> {
    let finder = memmem::Finder::new(trailer);
    let at = HEADER_BYTES + finder.find(&stored[HEADER_BYTES..])?;
    finder.find(&stored[at + 1..]).is_none().then_some(at + trailer.len())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).expect("a vector");
        encoder.finish().expect("a vector")
    }

    fn decode(stored: &[u8], room: usize) -> Option<(Whole, Vec<u8>)> {
        let mut out = vec![0; room];
        let whole = decode_whole(&mut Decompressor::new(), stored, &mut out)?;
        out.truncate(whole.decoded_bytes);
        Some((whole, out))
    }

    #[test]
    fn a_member_ends_where_its_trailer_does() {
        let member = gzip(b"some data");
        for behind in [&b""[..], b"\0\0\0\0\0\0\0\0\0", b"garbage", &member[..9]] {
            let (whole, out) = decode(&[&member[..], behind].concat(), 100).expect("a member");
            assert_eq!((whole.stored_bytes, out.as_slice()), (member.len(), &b"some data"[..]));
        }
    }

    #[test]
    fn what_is_no_whole_member_is_left_alone() {
        let member = gzip(b"some data");
        for cut in 0..member.len() {
            assert_eq!(decode(&member[..cut], 100), None, "{cut}");
        }
        assert_eq!(decode(&member, 8), None, "no room");
        for at in [0, 1, 2, member.len() - 8, member.len() - 1] {
            let mut damaged = member.clone();
            damaged[at] ^= 0x40;
            assert_eq!(decode(&damaged, 100), None, "{at}");
        }
    }

    /// A member that ends early, behind it anything, behind that its trailer once more.
    #[test]
    fn a_trailer_in_two_places_tells_nothing() {
        let member = gzip(b"some data");
        let trailer = &member[member.len() - 8..];
        for behind in [[trailer, b""].concat(), [b"garbage", trailer].concat()] {
            assert_eq!(decode(&[&member[..], &behind].concat(), 100), None);
        }
    }

    #[test]
    fn what_decodes_to_nothing_is_left_alone() {
        assert_eq!(decode(&gzip(b""), 100), None);
    }

    #[test]
    fn a_header_with_a_checksum_is_left_alone() {
        let mut stored = gzip(b"some data");
        stored[3] = HEADER_CHECKSUM;
        stored.splice(10..10, [0; 2]);
        let ours = decode(&stored, 100);
        assert!(
            Decompressor::new().gzip_decompress(&stored, &mut [0; 100]).is_ok(),
            "libdeflate looks at it"
        );
        assert_eq!(ours, None);
    }
}
