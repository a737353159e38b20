//! Moments, as the core sees them: it never reads a clock.

use std::fmt;

use ::time::OffsetDateTime;
use ::time::format_description::well_known::Rfc3339;

/// A moment in nanoseconds since the Unix epoch (UTC).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i128);

impl Timestamp {
    /// The moment `nanos` nanoseconds after the Unix epoch.
    #[must_use]
    pub const fn from_unix_nanos(nanos: i128) -> Self {
        Self(nanos)
    }

    /// The moment `seconds` seconds after the Unix epoch.
    #[must_use]
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds as i128 * 1_000_000_000)
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_nanos(self) -> i128 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn unix_seconds(self) -> i64 {
        self.per(1_000_000_000)
    }

    /// Whole milliseconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn unix_millis(self) -> i64 {
        self.per(1_000_000)
    }

    /// Every moment of our lives fits into 64 bits, in which dividing costs a twentieth.
    const fn per(self, nanos: i64) -> i64 {
        let short = self.0 as i64;
        if short as i128 == self.0 {
            short.div_euclid(nanos)
        } else {
            self.0.div_euclid(nanos as i128) as i64
        }
    }

    /// This moment moved by `seconds`, which may be negative.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0 + seconds as i128 * 1_000_000_000)
    }

    /// Reads RFC 3339 text in any offset.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        OffsetDateTime::parse(text, &Rfc3339)
            .ok()
            .map(|moment| Self(moment.unix_timestamp_nanos()))
    }
}

/// RFC 3339 in UTC with `Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(TimestampText::new().of(*self))
    }
}

/// Room for a moment's text, so that writing one allocates nothing.
#[derive(Clone, Copy, Debug)]
pub struct TimestampText([u8; LONGEST]);

const LONGEST: usize = "9999-12-31T23:59:59.999999999Z".len();

impl TimestampText {
    #[must_use]
    pub const fn new() -> Self {
        Self([0; LONGEST])
    }

    /// RFC 3339 in UTC with `Z`, with as many digits below a second as there are; `out of range` beyond the years 0 to
    /// 9999.
    pub fn of(&mut self, moment: Timestamp) -> &str {
        let Some((seconds, nanos)) = split(moment.0) else {
            return "out of range";
        };
        let (year, month, day) = civil(seconds.div_euclid(86_400));
        let second = seconds.rem_euclid(86_400) as u32;
        let text = &mut self.0;
        *text = *b"0000-00-00T00:00:00Z0000000000";
        digits(text, 0, year / 100);
        digits(text, 2, year % 100);
        digits(text, 5, month);
        digits(text, 8, day);
        digits(text, 11, second / 3_600);
        digits(text, 14, second / 60 % 60);
        digits(text, 17, second % 60);
        let mut end = 20;
        if nanos > 0 {
            end = fraction(text, nanos);
        }
        std::str::from_utf8(text.get(..end).unwrap_or_default()).unwrap_or_default()
    }
}

impl Default for TimestampText {
    fn default() -> Self {
        Self::new()
    }
}

/// Seconds since the epoch and the nanoseconds after that, within the years 0 to 9999.
fn split(nanos: i128) -> Option<(i64, u32)> {
    const SECOND: i64 = 1_000_000_000;
    /// The first second of year 0, and the first of year 10000.
    const YEARS: std::ops::Range<i64> = -62_167_219_200..253_402_300_800;
    // Most moments fit into 64 bits, whose division is a multiplication.
    let (seconds, rest) = match i64::try_from(nanos) {
        Ok(nanos) => (nanos.div_euclid(SECOND), nanos.rem_euclid(SECOND)),
        Err(_) => (
            i64::try_from(nanos.div_euclid(SECOND.into())).ok()?,
            nanos.rem_euclid(SECOND.into()) as i64,
        ),
    };
    YEARS.contains(&seconds).then_some((seconds, rest as u32))
}

/// Year, month and day of a day counted from 1970-01-01 (H. Hinnant, `civil_from_days`).
fn civil(days: i64) -> (u32, u32, u32) {
    // Days since 0000-03-01, which is never negative after `split` but for January and February of year 0.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097) as u32;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = i64::from(year) + era * 400 + i64::from(month <= 2);
    (year as u32, month, day)
}

/// Writes two digits.
fn digits(text: &mut [u8; LONGEST], at: usize, number: u32) {
    if let Some([tens, ones]) = text.get_mut(at..at + 2) {
        *tens = b'0' + (number / 10) as u8;
        *ones = b'0' + (number % 10) as u8;
    }
}

/// Writes what is below a second, without zeros at its end, and `Z`. Returns the end.
#[cold]
fn fraction(text: &mut [u8; LONGEST], nanos: u32) -> usize {
    let mut end = 20;
    let (mut rest, mut unit) = (nanos, 100_000_000);
    if let Some(point) = text.get_mut(19) {
        *point = b'.';
    }
    while rest > 0 {
        if let Some(place) = text.get_mut(end) {
            *place = b'0' + (rest / unit) as u8;
        }
        end += 1;
        rest %= unit;
        unit = (unit / 10).max(1);
    }
    if let Some(place) = text.get_mut(end) {
        *place = b'Z';
    }
    end + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expected(nanos: i128) -> String {
        OffsetDateTime::from_unix_timestamp_nanos(nanos)
            .ok()
            .and_then(|moment| moment.format(&Rfc3339).ok())
            .unwrap_or_else(|| "out of range".to_owned())
    }

    #[test]
    fn the_ends_of_the_range_and_leap_days() {
        for text in [
            "0000-01-01T00:00:00Z",
            "0000-02-29T23:59:59.000000001Z",
            "1600-02-29T12:00:00Z",
            "1900-03-01T00:00:00Z",
            "1969-12-31T23:59:59.999999999Z",
            "2024-02-29T00:00:00.5Z",
            "9999-12-31T23:59:59.999999999Z",
        ] {
            assert_eq!(Timestamp::parse(text).unwrap().to_string(), text);
        }
        for moment in [i128::MIN, i128::MAX, -62_167_219_200_000_000_001] {
            let text = Timestamp::from_unix_nanos(moment).to_string();
            assert_eq!(text, "out of range");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn texts_are_those_of_the_time_crate(
            seconds in -62_167_219_300_i64..253_402_300_900,
            nanos in prop_oneof![Just(0), 0..1_000_000_000_i64, (0..1_000_i64).prop_map(|it| it * 1_000_000)],
        ) {
            let moment = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
            let text = Timestamp::from_unix_nanos(moment).to_string();
            prop_assert_eq!(text, expected(moment));
        }
    }
}
