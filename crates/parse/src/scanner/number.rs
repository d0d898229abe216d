//! Numbers, a byte at a time.

/// What of a number has been read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    /// The minus.
    Minus,
    /// A leading zero.
    Zero,
    /// Digits that begin with another one.
    Whole,
    /// The point.
    Point,
    /// Digits behind the point.
    Fraction,
    /// The letter of the exponent.
    Letter,
    /// The sign of the exponent.
    Sign,
    /// Digits of the exponent.
    Exponent,
}

impl Number {
    /// The number that begins with this byte.
    pub(super) fn beginning(first: u8) -> Option<Self> {
        match first {
            b'-' => Some(Self::Minus),
            b'0' => Some(Self::Zero),
            b'1'..=b'9' => Some(Self::Whole),
            _ => None,
        }
    }

    /// Whether it may end here.
    pub(super) fn is_whole(self) -> bool {
        matches!(self, Self::Zero | Self::Whole | Self::Fraction | Self::Exponent)
    }

    /// Reads on from `at`, and says how far the number goes: up to a byte that is no part of it, or to the text's end.
    pub(super) fn pass(mut self, text: &[u8], mut at: usize) -> (Self, usize) {
        while let Some(next) = text.get(at).and_then(|&byte| self.next(byte)) {
            self = next;
            at += 1;
        }
        (self, at)
    }

    #[inline]
    fn next(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Minus, _) => Self::beginning(byte).filter(|&next| next != Self::Minus),
            (Self::Whole, b'0'..=b'9') => Some(Self::Whole),
            (Self::Point | Self::Fraction, b'0'..=b'9') => Some(Self::Fraction),
            (Self::Letter | Self::Sign | Self::Exponent, b'0'..=b'9') => Some(Self::Exponent),
            (Self::Zero | Self::Whole, b'.') => Some(Self::Point),
            (Self::Zero | Self::Whole | Self::Fraction, b'e' | b'E') => Some(Self::Letter),
            (Self::Letter, b'+' | b'-') => Some(Self::Sign),
            _ => None,
        }
    }
}
