//! Timestamps and durations: parsing, parts, time zones.

use ::time::{OffsetDateTime, UtcOffset};

use crate::engine::value::Value;
use crate::model::Timestamp;

use super::Failure;
use super::evaluate::{Machine, Outcome, no_overload};
use super::function::Function;

/// 0001-01-01T00:00:00Z.
const FIRST: i128 = -62_135_596_800 * 1_000_000_000;
/// 9999-12-31T23:59:59.999999999Z.
const LAST: i128 = 253_402_300_800 * 1_000_000_000 - 1;

/// `moment`, where it lies within the years 1 to 9999.
pub(super) fn in_range(moment: Timestamp) -> Option<Timestamp> {
    (FIRST..=LAST)
        .contains(&moment.unix_nanos())
        .then_some(moment)
}

/// Reads a duration such as `1h30m`, `-1.5s` or `300ms`; nanoseconds.
pub(super) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|it: char| !it.is_ascii_digit() && it != '.')?;
        let (number, tail) = rest.split_at(end);
        let end = tail
            .find(|it: char| it.is_ascii_digit() || it == '.')
            .unwrap_or(tail.len());
        let (unit, next) = tail.split_at(end);
        let unit: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60 * 1_000_000_000,
            "h" => 3_600 * 1_000_000_000,
            _ => return None,
        };
        nanos = nanos.checked_add(scaled(number, unit)?)?;
        rest = next;
    }
    i64::try_from(if negative { -nanos } else { nanos }).ok()
}

/// A decimal number times `unit`, rounded towards zero.
fn scaled(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut total = if whole.is_empty() {
        0
    } else {
        i128::from(whole.parse::<u64>().ok()?).checked_mul(unit)?
    };
    let mut scale = unit;
    for digit in fraction.chars() {
        scale /= 10;
        total = total.checked_add(i128::from(digit.to_digit(10)?) * scale)?;
    }
    Some(total)
}

/// The getters of timestamps, in UTC or the zone given, and of durations.
pub(super) fn part<'a>(
    machine: &Machine<'_, 'a>,
    function: Function,
    arguments: &[Value<'a>],
) -> Outcome<'a> {
    match arguments {
        [Value::Duration(nanos)] => duration_part(function, *nanos),
        [Value::Timestamp(moment)] => timestamp_part(function, *moment, UtcOffset::UTC),
        [Value::Timestamp(moment), Value::String(zone)] => {
            machine.charge(8)?;
            let offset = offset(zone, *moment).ok_or(Failure::Error("unknown time zone"))?;
            timestamp_part(function, *moment, offset)
        }
        _ => Err(no_overload()),
    }
}

fn duration_part<'a>(function: Function, nanos: i64) -> Outcome<'a> {
    const SECOND: i64 = 1_000_000_000;
    Ok(Value::Int(match function {
        Function::Hours => nanos / (3_600 * SECOND),
        Function::Minutes => nanos / (60 * SECOND),
        Function::Seconds => nanos / SECOND,
        // The part below a second, as the specification has it.
        Function::Milliseconds => nanos % SECOND / 1_000_000,
        _ => return Err(no_overload()),
    }))
}

fn timestamp_part<'a>(function: Function, moment: Timestamp, offset: UtcOffset) -> Outcome<'a> {
    let local = OffsetDateTime::from_unix_timestamp_nanos(moment.unix_nanos())
        .ok()
        .and_then(|moment| moment.checked_to_offset(offset))
        .ok_or(Failure::Error("timestamp out of range"))?;
    Ok(Value::Int(match function {
        Function::FullYear => i64::from(local.year()),
        Function::Month => i64::from(u8::from(local.month())) - 1,
        Function::DayOfYear => i64::from(local.ordinal()) - 1,
        Function::DayOfMonth => i64::from(local.day()) - 1,
        Function::Date => i64::from(local.day()),
        Function::DayOfWeek => i64::from(local.weekday().number_days_from_sunday()),
        Function::Hours => i64::from(local.hour()),
        Function::Minutes => i64::from(local.minute()),
        Function::Seconds => i64::from(local.second()),
        _ => i64::from(local.millisecond()),
    }))
}

/// The offset of a zone: `UTC`, `+02:00`, or a name of the IANA database.
fn offset(zone: &str, moment: Timestamp) -> Option<UtcOffset> {
    if zone == "UTC" || zone == "Z" {
        return Some(UtcOffset::UTC);
    }
    if let Some((hours, minutes)) = zone.split_once(':') {
        let negative = hours.starts_with('-');
        let hours: i8 = hours.trim_start_matches(['+', '-']).parse().ok()?;
        let minutes: i8 = minutes.parse().ok()?;
        return if negative {
            UtcOffset::from_hms(-hours, -minutes, 0).ok()
        } else {
            UtcOffset::from_hms(hours, minutes, 0).ok()
        };
    }
    let zone = jiff::tz::TimeZone::get(zone).ok()?;
    let moment = jiff::Timestamp::from_nanosecond(moment.unix_nanos()).ok()?;
    UtcOffset::from_whole_seconds(zone.to_offset(moment).seconds()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_parse_as_in_go() {
        assert_eq!(parse_duration("1h30m"), Some(5_400_000_000_000));
        assert_eq!(parse_duration("-1.5s"), Some(-1_500_000_000));
        assert_eq!(parse_duration(".5ms"), Some(500_000));
        assert_eq!(parse_duration("0"), Some(0));
        for wrong in [
            "",
            "-",
            "1",
            "1x",
            "s",
            ".s",
            "1s ",
            "320000000000s",
            "1.2.3s",
        ] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn zones_by_offset_and_name() {
        let winter = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        let summer = Timestamp::parse("2026-07-01T00:00:00Z").unwrap();
        let hours = |zone, moment| offset(zone, moment).map(UtcOffset::whole_hours);
        assert_eq!(hours("Europe/Berlin", winter), Some(1));
        assert_eq!(hours("Europe/Berlin", summer), Some(2));
        assert_eq!(hours("-03:30", winter), Some(-3));
        assert_eq!(hours("02:00", winter), Some(2));
        assert_eq!(hours("Mars/Olympus", winter), None);
        assert_eq!(hours("99:00", winter), None);
    }
}
