/// Each power of two is cut into this many buckets: a quantile is at most 1/16 (6.25 %) too high.
const STEPS: u64 = 16;

/// How long records are: exact count, sum, shortest and longest; quantiles from a histogram of bounded size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lengths {
    count: u64,
    sum: u64,
    shortest: u64,
    longest: u64,
    /// Bucket number and how many lengths fell into it, by number. At most 16 for each power of two, and only those in use,
    /// so that thousands of rare types cost little.
    buckets: Vec<(u16, u64)>,
}

impl Lengths {
    /// Counts one record.
    pub fn add(&mut self, length: u64) {
        self.shortest = if self.count == 0 { length } else { self.shortest.min(length) };
        self.longest = self.longest.max(length);
        self.count += 1;
        self.sum += length;
        let bucket = bucket_of(length);
        match self.buckets.binary_search_by_key(&bucket, |(number, _)| *number) {
            Ok(place) => self.buckets[place].1 += 1,
            Err(place) => self.buckets.insert(place, (bucket, 1)),
        }
    }

    /// How many records.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their bytes together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The shortest; 0 if there is none.
    #[must_use]
    pub fn shortest(&self) -> u64 {
        self.shortest
    }

    /// The longest; 0 if there is none.
    #[must_use]
    pub fn longest(&self) -> u64 {
        self.longest
    }

    /// The mean, rounded down; 0 if there is none.
    #[must_use]
    pub fn mean(&self) -> u64 {
        self.sum.checked_div(self.count).unwrap_or(0)
    }

    /// A length that `percent` of the records do not exceed, at most 6.25 % too high; 0 if there is none.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> u64 {
        let rank = (self.count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for &(bucket, count) in &self.buckets {
            seen += count;
            if seen >= rank {
                return highest_in(bucket).min(self.longest);
            }
        }
        self.longest
    }
}

fn bucket_of(length: u64) -> u16 {
    if length < STEPS {
        return length as u16;
    }
    // The leading bit chooses the group of 16, the four bits behind it the bucket.
    let shift = length.ilog2() - STEPS.ilog2();
    (u64::from(shift + 1) * STEPS + (length >> shift) - STEPS) as u16
}

fn highest_in(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    if bucket < STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    let above = u128::from(bucket % STEPS + STEPS + 1) << shift;
    u64::try_from(above - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn quantiles_are_never_too_low_and_hardly_too_high(
            mut lengths in prop::collection::vec(prop_oneof![0u64..40, 0u64..100_000, any::<u64>().prop_map(|n| n >> 12)], 1..300),
            percent in 1u64..=100,
        ) {
            let mut histogram = Lengths::default();
            lengths.iter().for_each(|&length| histogram.add(length));
            lengths.sort_unstable();
            let exact = lengths[(lengths.len() * percent as usize).div_ceil(100) - 1];
            let found = histogram.percentile(percent);
            prop_assert!(found >= exact && found <= exact + exact / 16, "{} against {}", found, exact);
            prop_assert_eq!(histogram.shortest(), lengths[0]);
            prop_assert_eq!(histogram.longest(), lengths[lengths.len() - 1]);
            prop_assert_eq!(histogram.mean(), lengths.iter().sum::<u64>() / lengths.len() as u64);
        }
    }

    #[test]
    fn buckets_meet_without_gap() {
        for bucket in 0..900 {
            assert_eq!(bucket_of(highest_in(bucket)), bucket);
            assert_eq!(bucket_of(highest_in(bucket) + 1), bucket + 1);
        }
        assert_eq!(highest_in(bucket_of(u64::MAX)), u64::MAX);
    }
}
