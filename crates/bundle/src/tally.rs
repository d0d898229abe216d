/// White space, with line ends apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlankTally {
    /// Spaces, tabs, and CRs that are no part of a line end.
    pub white_space: u64,
    /// Line ends: 0x0A, and the 0x0D right before it.
    pub terminators: u64,
    /// Whether the byte counted last is a CR, which may turn out to be a part of a line end.
    behind_return: bool,
}

impl BlankTally {
    /// All bytes counted.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.white_space + self.terminators
    }

    /// Counts white space that follows what was counted last.
    pub(crate) fn add(&mut self, blank: &[u8]) {
        for &byte in blank {
            match byte {
                b'\n' if self.behind_return => {
                    self.white_space -= 1;
                    self.terminators += 2;
                }
                b'\n' => self.terminators += 1,
                _ => self.white_space += 1,
            }
            self.behind_return = byte == b'\r';
        }
    }

    /// Something else stands behind what was counted last.
    pub(crate) fn interrupt(&mut self) {
        self.behind_return = false;
    }

    /// One byte of what was counted last is not white space after all.
    pub(crate) fn take_back_one(&mut self) {
        let place = if self.white_space > 0 { &mut self.white_space } else { &mut self.terminators };
        *place = place.saturating_sub(1);
    }
}

/// Where every byte went that a [`Framer`](crate::Framer) has handed out or passed over: each is counted in one place, and
/// [`bytes`](Self::bytes) is their sum.
///
/// Parts are counted once they have ended, with the white space in them: what [`Compactor`](crate::Compactor) leaves out of
/// them the caller takes off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bytes of [`Kind::Resource`](crate::Kind::Resource).
    pub resources: u64,
    /// Bytes of [`Kind::BundleMember`](crate::Kind::BundleMember).
    pub bundle_members: u64,
    /// Bytes of [`Kind::EntryMember`](crate::Kind::EntryMember) and [`Kind::ListName`](crate::Kind::ListName).
    pub entry_members: u64,
    /// Bytes of [`Kind::Entry`](crate::Kind::Entry).
    pub entries: u64,
    /// Bytes of [`Kind::Broken`](crate::Kind::Broken).
    pub broken: u64,
    /// Bytes of [`Kind::SecondLook`](crate::Kind::SecondLook): the framer that is given them again accounts for them.
    pub second_look: u64,
    /// Syntax of containers: brackets, commas and colons, and the keys of what is unwrapped: `entry`, `resource`, `providers` and `fhir`.
    pub container: u64,
    /// White space outside parts.
    pub blank: BlankTally,
    /// A byte order mark at the beginning.
    pub byte_order_mark: u64,
    /// What of a source that broke off was never whole, the pieces already handed out included.
    pub dropped: u64,
}

impl Tally {
    /// All bytes counted.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.resources
            + self.bundle_members
            + self.entry_members
            + self.entries
            + self.broken
            + self.second_look
            + self.container
            + self.blank.bytes()
            + self.byte_order_mark
            + self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_return_right_before_a_line_feed_is_part_of_the_line_end() {
        for pieces in [&[&b" \r\n\r \n"[..]][..], &[b" \r", b"\n\r", b" \n"]] {
            let mut tally = BlankTally::default();
            pieces.iter().for_each(|piece| tally.add(piece));
            assert_eq!((tally.white_space, tally.terminators), (3, 3));
        }
        let mut tally = BlankTally::default();
        tally.add(b"\r");
        tally.interrupt();
        tally.add(b"\n");
        assert_eq!((tally.white_space, tally.terminators), (1, 1));
    }
}
