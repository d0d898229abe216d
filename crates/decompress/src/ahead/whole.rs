//! One gzip member in one go.

use crate::codec::Outcome;
use crate::gzip::GzipMember;

/// A member that was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    pub(crate) stored_bytes: usize,
    pub(crate) decoded_bytes: usize,
}

/// Decodes the member that begins with `stored` and ends somewhere in it, with the decoder that decodes in sequence: what is a
/// member here is one there, and ends in the same place. `None` says nothing about what is wrong, nor that anything is: there
/// may be too little room.
pub(crate) fn decode_whole(stored: &[u8], out: &mut [u8]) -> Option<Whole> {
    let step = GzipMember::new().step(stored, out);
    let is_whole = matches!(step.outcome, Outcome::MemberEnd);
    is_whole.then_some(Whole { stored_bytes: step.read, decoded_bytes: step.written })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(data: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
        encoder.write_all(data).expect("a vector");
        encoder.finish().expect("a vector")
    }

    fn decode(stored: &[u8], room: usize) -> Option<(Whole, Vec<u8>)> {
        let mut out = vec![0; room];
        let whole = decode_whole(stored, &mut out)?;
        out.truncate(whole.decoded_bytes);
        Some((whole, out))
    }

    #[test]
    fn a_member_ends_where_its_trailer_does() {
        let member = gzip(b"some data", 6);
        let trailer = &member[member.len() - 8..];
        for behind in [&b""[..], b"\0\0\0\0\0\0\0\0\0", b"garbage", &member[..9], &member, trailer] {
            let (whole, out) = decode(&[&member[..], behind].concat(), 100).expect("a member");
            assert_eq!((whole.stored_bytes, out.as_slice()), (member.len(), &b"some data"[..]));
        }
    }

    #[test]
    fn room_for_what_comes_out_is_enough() {
        let text: Vec<u8> = (0..100_000u32).map(|n| (n.wrapping_mul(n) >> 12) as u8).collect();
        for (bytes, level) in
            [0, 1, 2, 100, 32_768, 65_535, 100_000].map(|bytes| [0, 1, 6].map(|l| (bytes, l))).concat()
        {
            for data in [&text[..bytes], &vec![b' '; bytes]] {
                let member = gzip(data, level);
                let (whole, out) = decode(&member, bytes).expect("room");
                assert!((whole.stored_bytes, out.as_slice()) == (member.len(), data), "{bytes} at {level}");
                assert!(bytes == 0 || decode(&member, bytes - 1).is_none(), "{bytes} at {level}");
            }
        }
    }

    #[test]
    fn what_is_no_whole_member_is_left_alone() {
        let member = gzip(b"some data", 6);
        for cut in 0..member.len() {
            assert_eq!(decode(&member[..cut], 100), None, "{cut}");
        }
        for at in [0, 1, 2, member.len() - 8, member.len() - 1] {
            let mut damaged = member.clone();
            damaged[at] ^= 0x40;
            assert_eq!(decode(&damaged, 100), None, "{at}");
        }
    }
}
