use std::fmt;
use std::io::{self, Read};

use crate::ahead::{Ahead, Room};
use crate::begun::Begun;
use crate::codec::{Codec, HEAD_BYTES, Outcome, Trouble};
use crate::input::{INPUT_BYTES, Input};
use crate::limits::Cap;
use crate::sniff::{MAGIC_BYTES, Match, Sniff, member, sniff};
use crate::{Compression, DecompressError, Limits};

/// The decoded bytes of a source, whatever its compression.
///
/// Any number of members (gzip members, zstd frames, bzip2 streams, xz streams) are decoded one after the other. Zero
/// bytes may follow each of them; anything else that is no member of the same format is an error. Every byte that was
/// decoded before an error is handed out before it, and an error that is a [`DecompressError`] is for good: the same
/// one is returned again. A failure of the reader passes through as it is, and reading may go on after it.
///
/// How the reader cuts the source does not matter, not even for how much of a damaged one comes out. Of a compressed
/// source, 64 KiB are read before any of them is decoded; more where members are decoded ahead
/// ([`Limits::with_ahead`]), which changes nothing of what comes out, nor of how it ends.
pub struct Decoder<R> {
    input: Input<R>,
    limits: Limits,
    compression: Compression,
    codec: Option<Codec>,
    /// Of a gzip source whose members may be decoded ahead.
    room: Option<Room>,
    /// Another member began behind the first: from the next read on, members are decoded ahead.
    has_members: bool,
    ahead: Option<Box<Ahead>>,
    /// What was decoded before anybody read.
    begun: Option<Begun>,
    state: State,
    /// Those of `begun` included.
    decoded_bytes: u64,
}

#[derive(Clone, Copy)]
enum State {
    Plain,
    Member,
    /// Within a member that was decoded ahead.
    Whole,
    /// Behind a member: the end, zero padding or another member.
    Between,
    Ended,
    Failed(DecompressError),
}

impl<R: Read> Decoder<R> {
    /// Finds the compression from the first bytes of `reader`, and checks that the first member keeps to the limits.
    ///
    /// A plain source that begins like JSON is read once (again after a lone `[`), a compressed one until the buffer is
    /// full.
    ///
    /// # Errors
    /// A [`DecompressError`] inside, if the source is an archive or of a format that is not decoded, if it ends within
    /// its first header, or if it needs more memory than `limits` allow; else what the reader said.
    pub fn new(reader: R, limits: Limits) -> io::Result<Self> {
        let (compression, input) = open(reader)?;
        Self::at_first_member(compression, input, limits)
    }

    /// The same for a source that is to be read later, with its beginning decoded already: as many bytes as are wanted of what is
    /// stored like that, or all there are, wait in memory to be handed out. If none are wanted, the source is not begun. They wait in
    /// `buffer` if it is long enough, else in a new one.
    ///
    /// What comes out is the same as without, and so is how it ends and where; but more of the stored bytes count as used.
    ///
    /// ```
    /// use std::io::Read;
    /// use fhirline_decompress::{Decoder, Limits};
    ///
    /// let lines = "{\"resourceType\":\"Patient\"}\n".repeat(9);
    /// let begun = Decoder::begun(lines.as_bytes(), Limits::default(), Vec::new(), |_| Some(100))?;
    /// let mut decoder = begun.expect("wanted");
    /// assert_eq!((decoder.stored_bytes(), decoder.decoded_bytes()), (100, 0));
    /// let mut text = String::new();
    /// decoder.read_to_string(&mut text)?;
    /// assert_eq!(text, lines);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`new`](Self::new), and what the reader said meanwhile. An error of the source that stands behind what was decoded
    /// is told by the read that comes to it.
    pub fn begun(
        reader: R,
        limits: Limits,
        buffer: Vec<u8>,
        wanted_bytes: impl FnOnce(Compression) -> Option<usize>,
    ) -> io::Result<Option<Self>> {
        let (compression, input) = open(reader)?;
        let Some(wanted_bytes) = wanted_bytes(compression) else { return Ok(None) };
        let mut decoder = Self::at_first_member(compression, input, limits)?;
        let begun = Begun::of(wanted_bytes, buffer, |out| decoder.decode(out))?;
        decoder.begun = Some(begun);
        Ok(Some(decoder))
    }

    fn at_first_member(compression: Compression, input: Input<R>, limits: Limits) -> io::Result<Self> {
        let mut decoder = Self::of(input, limits, compression, 0);
        if compression == Compression::Gzip {
            decoder.room = limits.ahead_room();
        }
        if compression != Compression::None {
            decoder.begin_member()?;
        }
        if compression == Compression::Xz {
            // Without room for output, liblzma goes as far as the first block header, which tells the memory it needs.
            decoder.continue_member(&mut [])?;
        }
        match decoder.state {
            State::Failed(error) => Err(error.into()),
            _ => Ok(decoder),
        }
    }

    /// Goes on in the middle of a source that is known to be plain: `reader` begins at its byte `at`.
    pub fn plain_from(reader: R, limits: Limits, at: u64) -> Self {
        Self::of(Input::behind(reader, at), limits, Compression::None, at)
    }

    fn of(input: Input<R>, limits: Limits, compression: Compression, decoded_bytes: u64) -> Self {
        Self {
            input,
            limits,
            compression,
            codec: None,
            room: None,
            has_members: false,
            ahead: None,
            begun: None,
            state: State::Plain,
            decoded_bytes,
        }
    }

    fn begin_member(&mut self) -> io::Result<()> {
        self.input.fill_to(HEAD_BYTES)?;
        if self.take_whole() {
            return Ok(());
        }
        let head = self.input.buffered();
        let begun = Codec::begin(self.compression, self.codec.take(), head, self.limits.window_bytes);
        match begun {
            Ok(codec) => {
                self.codec = Some(codec);
                self.state = State::Member;
            }
            Err(trouble) => self.fail(trouble),
        }
        Ok(())
    }

    /// Takes the member that begins here as it was decoded ahead. Not if a cap could fall into it: then it is decoded in
    /// sequence, up to the cap. True if it was taken, or nothing can be.
    fn take_whole(&mut self) -> bool {
        let Some(ahead) = &mut self.ahead else { return false };
        let whole = match ahead.member(&mut self.input) {
            Ok(Some(whole)) => whole,
            Ok(None) => return false,
            Err(_) => {
                self.fail(Trouble::ThreadLost);
                return true;
            }
        };
        // More stored bytes raise the cap, and never lower it.
        let cap = self.limits.coded_cap(self.input.seen());
        if self.decoded_bytes.saturating_add(whole.decoded_bytes as u64) > cap.decoded_bytes {
            return false;
        }
        self.input.read_ahead(whole.stored_bytes + INPUT_BYTES);
        let is_taken = self.input.pass_over(whole.stored_bytes);
        if is_taken {
            self.codec = None;
            self.state = State::Whole;
        }
        is_taken
    }

    /// Hands bytes of a member out that was decoded ahead.
    fn hand_out(&mut self, out: &mut [u8]) -> usize {
        let written = self.ahead.as_mut().map_or(0, |ahead| ahead.hand_out(out));
        self.decoded_bytes += written as u64;
        if written == 0 {
            self.state = State::Between;
        }
        written
    }

    /// Begins to decode ahead, if the caller was told of the memory.
    fn begin_ahead(&mut self) {
        if let (Some(room), None) = (self.room_ahead(), &self.ahead) {
            self.ahead = Some(Box::new(Ahead::begin(room, &mut self.input)));
        }
    }

    fn continue_member(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let cap = self.limits.coded_cap(self.input.seen());
        let mut beyond = [0; 1];
        let (out, is_beyond) = under(cap, self.decoded_bytes, out, &mut beyond);
        let Some(codec) = &mut self.codec else {
            return Ok(0);
        };
        let step = codec.step(self.input.buffered(), out);
        self.input.consume(step.read);
        if is_beyond && step.written > 0 {
            self.fail(cap.beyond);
            return Ok(0);
        }
        self.decoded_bytes += step.written as u64;
        match step.outcome {
            Outcome::More if step.read + step.written == 0 => self.more_input()?,
            Outcome::More => {}
            Outcome::MemberEnd => self.state = State::Between,
            Outcome::Failed(trouble) => self.fail(trouble),
        }
        Ok(step.written)
    }

    /// Hands bytes of a plain source out; none if it has ended or failed.
    fn pass(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let cap = self.limits.plain_cap();
        let mut beyond = [0; 1];
        let (out, is_beyond) = under(cap, self.decoded_bytes, out, &mut beyond);
        let passed = self.input.pass(out)?;
        match passed {
            0 => self.state = State::Ended,
            _ if is_beyond => {
                self.fail(cap.beyond);
                return Ok(0);
            }
            _ => self.decoded_bytes += passed as u64,
        }
        Ok(passed)
    }

    /// Decodes in sequence, or takes what was decoded ahead. Every turn uses up input, writes output or changes the state, so a finite
    /// source comes to an end.
    fn decode(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            self.input.resume_fill()?;
            match self.state {
                State::Plain => {
                    let passed = self.pass(out)?;
                    if passed > 0 {
                        return Ok(passed);
                    }
                }
                State::Member => {
                    let written = self.continue_member(out)?;
                    if written > 0 {
                        return Ok(written);
                    }
                }
                State::Whole => {
                    let written = self.hand_out(out);
                    if written > 0 {
                        return Ok(written);
                    }
                }
                State::Between => self.next_member()?,
                State::Ended => return Ok(0),
                State::Failed(error) => return Err(error.into()),
            }
        }
    }

    fn more_input(&mut self) -> io::Result<()> {
        if self.input.buffered().is_empty() && !self.input.fill()? {
            self.fail(Trouble::Truncated);
        }
        Ok(())
    }

    fn next_member(&mut self) -> io::Result<()> {
        while self.skip_zeros() && self.input.fill()? {}
        if self.input.buffered().is_empty() {
            self.state = State::Ended;
            return Ok(());
        }
        self.input.fill_to(MAGIC_BYTES)?;
        match member(self.compression, self.input.buffered()) {
            Match::Yes => {
                self.has_members = true;
                self.begin_member()?;
            }
            Match::Prefix => self.fail(Trouble::Truncated),
            Match::No => self.fail(Trouble::TrailingGarbage),
        }
        Ok(())
    }

    /// Uses up the zeros in view; true if nothing else is in view.
    fn skip_zeros(&mut self) -> bool {
        let held = self.input.buffered();
        let zeros = held.iter().position(|&byte| byte != 0).unwrap_or(held.len());
        self.input.consume(zeros);
        self.input.buffered().is_empty()
    }

    fn fail(&mut self, trouble: Trouble) {
        self.state = State::Failed(locate(trouble, self.compression, self.input.used()));
    }
}

impl<R> Decoder<R> {
    /// The reader of the stored bytes. Once the decoder has come to its end, it was read to its end.
    #[must_use]
    pub fn get_ref(&self) -> &R {
        self.input.get_ref()
    }

    /// The room for members that are decoded ahead, if that has begun or will with the next read.
    fn room_ahead(&self) -> Option<Room> {
        let is_over = matches!(self.state, State::Ended | State::Failed(_));
        self.room.filter(|_| self.ahead.is_some() || self.has_members && !is_over)
    }

    /// How the source is stored.
    #[must_use]
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// Bytes handed out so far; of a source that was gone on with, those before too.
    #[must_use]
    pub fn decoded_bytes(&self) -> u64 {
        self.decoded_bytes - self.begun.as_ref().map_or(0, Begun::left_bytes)
    }

    /// The buffer of what was decoded by [`begun`](Self::begun), as soon as all of it is handed out.
    pub fn take_buffer(&mut self) -> Option<Vec<u8>> {
        self.begun.take_if(|begun| begun.left_bytes() == 0).map(Begun::into_buffer)
    }

    /// Stored bytes used up so far: padding included, bytes read ahead not. A member that was decoded ahead counts as a whole
    /// from its first byte on, and so does what was decoded by [`begun`](Self::begun).
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.input.used()
    }

    /// The memory that the decoder holds now, in bytes, a little rounded up. A later member may raise it, never above
    /// [`Limits::memory_bytes`] and, until the buffer is taken, what was decoded by [`begun`](Self::begun). What decoding ahead takes
    /// is in it before it is taken, by the next read.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let ahead = self.room_ahead().map_or(0, |room| room.total_bytes);
        // What is held ahead of the view is in the room.
        let view = self.input.capacity().min(INPUT_BYTES as u64);
        let begun = self.begun.as_ref().map_or(0, Begun::memory_bytes);
        view + ahead + begun + self.codec.as_ref().map_or(0, Codec::memory_bytes)
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if let Some(begun) = self.begun.as_mut().filter(|begun| begun.left_bytes() > 0) {
            return Ok(begun.hand_out(out));
        }
        self.begin_ahead();
        self.decode(out)
    }
}

impl<R> fmt::Debug for Decoder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("compression", &self.compression)
            .field("stored_bytes", &self.stored_bytes())
            .field("decoded_bytes", &self.decoded_bytes)
            .finish_non_exhaustive()
    }
}

fn open<R: Read>(reader: R) -> io::Result<(Compression, Input<R>)> {
    let mut input = Input::new(reader);
    loop {
        match sniff(input.buffered(), input.ended()) {
            Sniff::More => {
                input.fill_some()?;
            }
            Sniff::Stored(Compression::None) => return Ok((Compression::None, input)),
            Sniff::Stored(compression) => {
                input.widen();
                input.fill()?;
                return Ok((compression, input));
            }
            Sniff::CutOff(compression) => {
                let stored_byte = input.buffered().len() as u64;
                return Err(DecompressError::Truncated { compression, stored_byte }.into());
            }
            Sniff::Foreign(what) => return Err(DecompressError::Unsupported { what }.into()),
        }
    }
}

/// The part of `out` that is under the cap; where nothing of it is, the byte that must not come, and true.
fn under<'o>(cap: Cap, decoded_bytes: u64, out: &'o mut [u8], beyond: &'o mut [u8]) -> (&'o mut [u8], bool) {
    let room = cap.decoded_bytes.saturating_sub(decoded_bytes).min(out.len() as u64) as usize;
    if room == 0 && !out.is_empty() {
        return (beyond, true);
    }
    (&mut out[..room], false)
}

fn locate(trouble: Trouble, compression: Compression, stored_byte: u64) -> DecompressError {
    match trouble {
        Trouble::Truncated => DecompressError::Truncated { compression, stored_byte },
        Trouble::Corrupt => DecompressError::Corrupt { compression, stored_byte },
        Trouble::TrailingGarbage => DecompressError::TrailingGarbage { compression, stored_byte },
        Trouble::WindowTooLarge { needed_bytes, allowed_bytes } => {
            DecompressError::WindowTooLarge { compression, needed_bytes, allowed_bytes }
        }
        Trouble::TooExpanded { max_ratio, decoded_bytes, stored_bytes } => {
            DecompressError::TooExpanded { compression, max_ratio, decoded_bytes, stored_bytes }
        }
        Trouble::TooLong { max_decoded_bytes } => DecompressError::TooLong { max_decoded_bytes },
        Trouble::Unsupported(what) => DecompressError::Unsupported { what },
        Trouble::ThreadLost => DecompressError::ThreadLost,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const KIB: usize = 1 << 10;

    fn members(count: usize, bytes: usize) -> Vec<u8> {
        let data: Vec<u8> = (0..bytes as u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
        members_at_level(count, &data, 1)
    }

    fn members_at_level(count: usize, data: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
        encoder.write_all(data).expect("a vector");
        encoder.finish().expect("a vector").repeat(count)
    }

    /// How many members were taken as they were decoded ahead, and the memory that was told before each read.
    fn taken(stored: &[u8], limits: Limits) -> (usize, Vec<u64>) {
        let mut decoder = Decoder::new(stored, limits).expect("gzip");
        let (mut room, mut taken, mut told) = (vec![0; 4096 * KIB], 0, Vec::new());
        loop {
            let memory_bytes = decoder.memory_bytes();
            told.push(memory_bytes);
            let had_begun = decoder.ahead.is_some();
            let read = decoder.read(&mut room).expect("sound");
            assert!(
                had_begun || decoder.ahead.is_none() || memory_bytes > 1 << 20,
                "memory that was not told"
            );
            taken += usize::from(matches!(decoder.state, State::Whole));
            if read == 0 {
                return (taken, told);
            }
        }
    }

    /// It was not for a while: what reads members ahead holds threads, and the failure of a reader.
    #[test]
    fn a_decoder_can_be_shared_and_looked_at_behind_a_panic() {
        fn is_so<T: Send + Sync + std::panic::RefUnwindSafe>() {}
        is_so::<Decoder<&[u8]>>();
    }

    #[test]
    fn all_members_but_the_first_two_are_decoded_ahead() {
        let limits = Limits::default().with_ahead(2, 8 << 20);
        for bytes in [1, 100, 60 * KIB, 1024 * KIB] {
            for count in [3, 4, 50] {
                assert_eq!(taken(&members(count, bytes), limits).0, count - 2, "{count} of {bytes}");
            }
        }
    }

    /// Hardly more than one of them is in reach, and the view goes beyond that.
    #[test]
    fn members_as_long_as_the_reach_are_decoded_ahead() {
        let limits = Limits::default().with_ahead(2, 8 << 20);
        let reach = limits.ahead_room().expect("enough").stored_bytes;
        let stored = members_at_level(9, &vec![7; reach - 1000], 0);
        assert_eq!(taken(&stored, limits).0, 7);
    }

    #[test]
    fn nothing_is_taken_for_a_single_member() {
        let limits = Limits::default().with_ahead(2, 8 << 20);
        for padding in [0, 1, 100_000] {
            let stored = [members(1, 8192 * KIB), vec![0; padding]].concat();
            let (taken, told) = taken(&stored, limits);
            assert_eq!(taken, 0);
            assert!(told.iter().all(|&bytes| bytes <= 128 << 10), "{told:?}");
        }
    }

    #[test]
    fn members_that_are_too_large_are_decoded_in_sequence_and_those_among_them_are_not() {
        let limits = Limits::default().with_ahead(2, 8 << 20);
        let (large, small) = (members(1, 3072 * KIB), members(10, 100 * KIB));
        assert_eq!(taken(&large.repeat(5), limits).0, 0);
        let (taken, told) = taken(&[large.clone(), small.clone(), large, small].concat(), limits);
        // The first of them is the second member.
        assert_eq!(taken, 19);
        assert!(told.iter().all(|&bytes| bytes <= limits.memory_bytes()));
    }
}
