const MIB: usize = 1 << 20;

/// The sources that are too large to be kept as files.
pub(super) fn generated(name: &str) -> Vec<u8> {
    match name {
        "a line of 2 MiB between two others" => around(&line_of(2 * MIB)),
        "a line of 6 MiB between two others" => around(&line_of(6 * MIB)),
        "3 MiB of characters of three bytes" => {
            (0..12).flat_map(|number| characters(number, 256 << 10)).collect()
        }
        _ => panic!("nothing is known of {name}"),
    }
}

fn around(line: &[u8]) -> Vec<u8> {
    let patient = |id: &str| format!("{{\"resourceType\":\"Patient\",\"id\":\"{id}\"}}\n").into_bytes();
    [&patient("1")[..], line, b"\n", &patient("2")].concat()
}

/// A Binary of exactly so many bytes.
fn line_of(bytes: usize) -> Vec<u8> {
    let mut line = b"{\"id\":\"long\",\"data\":\"".to_vec();
    let end = b"\",\"resourceType\":\"Binary\"}";
    line.resize(bytes - end.len(), b'A');
    line.extend_from_slice(end);
    line
}

/// A line of about so many bytes. Its head has as many more bytes as its number, so that whatever the size of the reads,
/// they end at every byte of a character in some line.
fn characters(number: usize, bytes: usize) -> Vec<u8> {
    let head = format!("{{\"resourceType\":\"Basic\",\"id\":\"{}\",\"text\":\"", "i".repeat(number));
    let text = "患".repeat((bytes - head.len()) / "患".len());
    format!("{head}{text}\"}}\n").into_bytes()
}
