//! A small generator of random numbers: the same seed gives the same corpus on
//! every machine and in every version.

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator for a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// An independent generator for part `number` of what this one makes, so
    /// that parts can be made in any order.
    #[must_use]
    pub fn part(&self, number: u64) -> Self {
        Self(mix(self.0 ^ mix(number.wrapping_add(0x9e37_79b9_7f4a_7c15))))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number from 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let number = (self.bits() >> 11) as f64;
        number / 9_007_199_254_740_992.0
    }

    /// A number from `least` to below `most`.
    pub fn between(&mut self, least: f64, most: f64) -> f64 {
        least + self.unit() * (most - least)
    }

    /// A whole number from 0 to below `count`; 0 when there is none.
    pub fn below(&mut self, count: usize) -> usize {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        usize::try_from(self.bits().checked_rem(count).unwrap_or(0)).unwrap_or(0)
    }

    /// A whole number from `least` to `most`, both included.
    pub fn count(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// Whether something of this probability happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of a list, or the fallback when it is empty.
    pub fn pick<T: Copy>(&mut self, list: &[T], fallback: T) -> T {
        list.get(self.below(list.len()))
            .copied()
            .unwrap_or(fallback)
    }

    /// The index of a weight, drawn in proportion.
    pub fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut at = self.unit() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            if at < *weight {
                return index;
            }
            at -= weight;
        }
        weights.len().saturating_sub(1)
    }

    /// A pause with the given mean, exponentially distributed.
    pub fn pause(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }
}

fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_numbers() {
        assert_eq!(Random::new(7).bits(), Random::new(7).bits());
        assert_ne!(Random::new(7).bits(), Random::new(8).bits());
        assert_ne!(Random::new(7).part(1).bits(), Random::new(7).part(2).bits());
        assert_eq!(Random::new(1).bits(), 0x910a_2dec_8902_5cc1);
    }

    #[test]
    fn numbers_lie_where_they_should() {
        let mut random = Random::new(1);
        for _ in 0..1000 {
            assert!((2.0..5.0).contains(&random.between(2.0, 5.0)));
            assert!((3..=6).contains(&random.count(3, 6)));
            assert!(random.below(4) < 4);
            assert!(random.pause(10.0) >= 0.0);
            assert_eq!(random.weighted(&[0.0, 1.0, 0.0]), 1);
            assert!(!random.chance(0.0) && random.chance(1.0));
        }
        assert_eq!(random.below(0), 0);
        assert_eq!(random.pick(&[], 9), 9);
    }
}
