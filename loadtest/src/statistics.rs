//! Medians, spreads and confidence intervals.

/// Median; NaN of nothing.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}

/// Largest distance from the median, as a share of it.
#[must_use]
pub fn spread(values: &[f64]) -> f64 {
    let middle = median(values);
    values
        .iter()
        .map(|value| (value / middle - 1.0).abs())
        .fold(0.0, f64::max)
}

/// A 95 % confidence interval of the median by bootstrap with a fixed seed: the same values give the same interval.
#[must_use]
pub fn confidence(values: &[f64]) -> (f64, f64) {
    if values.is_empty() {
        return (f64::NAN, f64::NAN);
    }
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut medians: Vec<f64> = (0..2000)
        .map(|_| {
            let sample: Vec<f64> = values
                .iter()
                .map(|_| {
                    // xorshift64: good enough to pick samples, and the same everywhere.
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    values[(state % values.len() as u64) as usize]
                })
                .collect();
            median(&sample)
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    (medians[50], medians[1949])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_spreads() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median(&[]).is_nan());
        assert!((spread(&[1.0, 2.0, 3.0]) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn the_interval_holds_the_median_and_is_the_same_twice() {
        let values = [1.0, 1.1, 0.9, 1.05, 1.2, 0.95, 1.0, 1.02];
        let (low, high) = confidence(&values);
        assert!(low <= median(&values) && median(&values) <= high);
        assert_eq!(confidence(&values).0.to_bits(), low.to_bits());
    }
}
