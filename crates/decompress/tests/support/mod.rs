//! What the tests share: samples, encoders, readers that cut, and the command-line tools as oracles.

#![allow(dead_code, reason = "every test file uses a part")]

use std::io::{self, Read, Write};
use std::process::{Command, Stdio};

use fhirline_decompress::{Compression, Decoder, DecompressError, Limits};

pub(crate) const CODED: [Compression; 4] =
    [Compression::Gzip, Compression::Zstd, Compression::Bzip2, Compression::Xz];

/// Lines that resemble an export, compress well and never repeat exactly.
pub(crate) fn sample(lines: u64) -> Vec<u8> {
    let mut text = Vec::new();
    let mut noise = 0x9e37_79b9_7f4a_7c15u64;
    for line in 0..lines {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        writeln!(text, r#"{{"resourceType":"Observation","id":"{line}","value":{noise}}}"#)
            .expect("a vector");
    }
    text
}

/// Bytes that do not compress.
pub(crate) fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// One member, made by the crates' own encoders. zstd and xz with a checksum, as their tools write it.
pub(crate) fn encode(compression: Compression, data: &[u8]) -> Vec<u8> {
    match compression {
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            encoder.write_all(data).expect("a vector");
            encoder.finish().expect("a vector")
        }
        Compression::Zstd => zstd_frame(data, |encoder| encoder.include_checksum(true)),
        Compression::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::new(1));
            encoder.write_all(data).expect("a vector");
            encoder.finish().expect("a vector")
        }
        Compression::Xz => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(data).expect("a vector");
            encoder.finish().expect("a vector")
        }
        _ => data.to_vec(),
    }
}

type ZstdEncoder = zstd::stream::write::Encoder<'static, Vec<u8>>;

pub(crate) fn zstd_frame(data: &[u8], set: impl Fn(&mut ZstdEncoder) -> io::Result<()>) -> Vec<u8> {
    let mut encoder = ZstdEncoder::new(Vec::new(), 3).expect("memory");
    set(&mut encoder).expect("a legal parameter");
    encoder.write_all(data).expect("a vector");
    encoder.finish().expect("a vector")
}

/// What came out, and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) data: Vec<u8>,
    pub(crate) end: Result<(), DecompressError>,
}

impl Decoded {
    pub(crate) fn complete(data: &[u8]) -> Self {
        Self { data: data.to_vec(), end: Ok(()) }
    }
}

pub(crate) fn decode(stored: &[u8]) -> Decoded {
    decode_cut(stored, usize::MAX, 1 << 16)
}

/// Decodes with a reader that gives at most `input` bytes at a time, into pieces of `output` bytes.
pub(crate) fn decode_cut(stored: &[u8], input: usize, output: usize) -> Decoded {
    let mut data = Vec::new();
    let end = match Decoder::new(Cut { rest: stored, most: input }, Limits::default()) {
        Ok(mut decoder) => drain(&mut decoder, output, &mut data),
        Err(error) => Err(error),
    };
    let end = end.map_err(|error| DecompressError::find_in(&error).expect("no failure of the reader"));
    Decoded { data, end }
}

pub(crate) fn drain<R: Read>(decoder: &mut Decoder<R>, piece: usize, data: &mut Vec<u8>) -> io::Result<()> {
    let mut room = vec![0; piece];
    loop {
        let read = decoder.read(&mut room)?;
        if read == 0 {
            return Ok(());
        }
        data.extend_from_slice(&room[..read]);
        assert_eq!(decoder.decoded_bytes(), data.len() as u64);
        assert!(decoder.memory_bytes() <= Limits::default().memory_bytes());
    }
}

/// A reader that gives a few bytes at a time.
pub(crate) struct Cut<'a> {
    pub(crate) rest: &'a [u8],
    pub(crate) most: usize,
}

impl Read for Cut<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = self.most.min(out.len());
        self.rest.read(&mut out[..most])
    }
}

/// Runs a tool over `input`; `None`, with a message, where the machine does not have it.
pub(crate) fn tool(name: &str, arguments: &[&str], input: &[u8]) -> Option<Ran> {
    let mut command = Command::new(name);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let _ = writeln!(io::stderr(), "skipped: there is no {name} here");
            return None;
        }
        Err(error) => panic!("{name}: {error}"),
    };
    let mut stdin = child.stdin.take().expect("piped");
    let output = std::thread::scope(|scope| {
        // A tool that gives up early closes the pipe.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().expect("the tool runs")
    });
    Some(Ran { data: output.stdout, good: output.status.success() })
}

pub(crate) struct Ran {
    pub(crate) data: Vec<u8>,
    pub(crate) good: bool,
}
