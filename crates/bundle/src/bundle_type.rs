use crate::word::Word;

/// The `type` of a Bundle (<https://hl7.org/fhir/R4/valueset-bundle-type.html>; R5 adds `subscription-notification`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BundleType {
    /// `batch`
    Batch,
    /// `batch-response`
    BatchResponse,
    /// `collection`
    Collection,
    /// `document`
    Document,
    /// `history`
    History,
    /// `message`
    Message,
    /// `searchset`
    Searchset,
    /// `subscription-notification`
    SubscriptionNotification,
    /// `transaction`
    Transaction,
    /// `transaction-response`
    TransactionResponse,
    /// There is no `type`.
    Absent,
    /// A `type` that no FHIR version knows, or one that is not a string.
    Unknown,
}

impl BundleType {
    const NAMED: [Self; 10] = [
        Self::Batch,
        Self::BatchResponse,
        Self::Collection,
        Self::Document,
        Self::History,
        Self::Message,
        Self::Searchset,
        Self::SubscriptionNotification,
        Self::Transaction,
        Self::TransactionResponse,
    ];

    /// The code, as FHIR writes it; for reports, `absent` and `unknown` for those that have none.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::BatchResponse => "batch-response",
            Self::Collection => "collection",
            Self::Document => "document",
            Self::History => "history",
            Self::Message => "message",
            Self::Searchset => "searchset",
            Self::SubscriptionNotification => "subscription-notification",
            Self::Transaction => "transaction",
            Self::TransactionResponse => "transaction-response",
            Self::Absent => "absent",
            Self::Unknown => "unknown",
        }
    }

    /// Whether a Bundle of this type is only a wrapper around its entries. A document, a message and a notification of a
    /// subscription mean something as a whole, and stay whole.
    #[must_use]
    pub fn is_container(self) -> bool {
        !matches!(self, Self::Document | Self::Message | Self::SubscriptionNotification)
    }

    /// The type of that [`name`](Self::name).
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let all = Self::NAMED.into_iter().chain([Self::Absent, Self::Unknown]);
        all.into_iter().find(|known| known.name() == name)
    }

    /// The type of that code as it is written.
    pub(crate) fn of(word: &Word) -> Self {
        Self::NAMED.into_iter().find(|known| word.is(known.name())).unwrap_or(Self::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_again() {
        for known in BundleType::NAMED {
            let mut word = Word::default();
            word.push(known.name().as_bytes());
            assert_eq!(BundleType::of(&word), known);
        }
        for other in ["", "Collection", "absent", "unknown"] {
            let mut word = Word::default();
            word.push(other.as_bytes());
            assert_eq!(BundleType::of(&word), BundleType::Unknown);
        }
    }
}
