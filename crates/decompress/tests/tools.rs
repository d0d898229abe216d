//! The command-line tools as oracles: what they write is decoded, and what they refuse is refused.

mod support;

use support::{Decoded, decode, decode_cut, sample, tool};

/// A tool, and ways to write that differ in the stored form.
const WRITERS: &[(&str, &[&[&str]])] = &[
    ("gzip", &[&["-c", "-1"], &["-c", "-9"], &["-c", "-n"]]),
    ("zstd", &[&["-qc", "-1"], &["-qc", "-19"], &["-qc", "--no-check"], &["-qc", "--long=22"]]),
    ("bzip2", &[&["-c", "-1"], &["-c", "-9"]]),
    (
        "xz",
        &[
            &["-c", "-0"],
            &["-c", "-6"],
            &["-c", "--check=none"],
            &["-c", "--check=crc32"],
            &["-c", "--check=sha256"],
            &["-c", "-0", "--block-size=20000"],
            &["-c", "-0", "-T2", "--block-size=50000"],
            &["-c", "--delta=dist=4", "--lzma2=preset=0"],
            &["-c", "--x86", "--lzma2=preset=0"],
        ],
    ),
];

#[test]
fn what_the_tools_write_is_decoded() {
    for data in [sample(0), sample(1), sample(5000)] {
        for (name, ways) in WRITERS {
            for arguments in *ways {
                let Some(ran) = tool(name, arguments, &data) else { continue };
                assert!(ran.good, "{name} {arguments:?}");
                let expected = Decoded::complete(&data);
                assert!(decode(&ran.data) == expected, "{name} {arguments:?}");
                assert!(decode_cut(&ran.data, 777, 1234) == expected, "{name} {arguments:?}");
            }
        }
    }
}

#[test]
fn a_file_name_in_the_gzip_header_is_skipped() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("Patient.ndjson");
    std::fs::write(&path, sample(10)).expect("a file");
    let path = path.to_str().expect("UTF-8");
    let Some(ran) = tool("gzip", &["-c", "-N", path], b"") else { return };
    assert!(ran.good);
    assert_eq!(ran.data[3] & 8, 8, "no name in the header");
    assert_eq!(decode_cut(&ran.data, 1, 1), Decoded::complete(&sample(10)));
}

/// At every cut and with every byte damaged, the verdict is the tool's. Only what the tool takes for another file is
/// left out: the magic, and what follows the end.
#[test]
fn what_the_tools_refuse_is_refused() {
    for (name, ways) in WRITERS {
        let Some(ran) = tool(name, ways[0], &sample(3)) else { continue };
        let stored = ran.data;
        let magic_bytes = if *name == "bzip2" { 10 } else { 6 };
        for at in magic_bytes..stored.len() {
            let mut damaged = stored.clone();
            damaged[at] ^= 0xa5;
            for case in [&stored[..at], &damaged[..]] {
                let Some(verdict) = tool(name, &["-dc"], case) else { return };
                let ours = decode(case);
                assert_eq!(verdict.good, ours.end.is_ok(), "{name} at {at}: {:?}", ours.end);
                if verdict.good {
                    assert_eq!(verdict.data, ours.data, "{name} at {at}");
                }
            }
        }
    }
}
