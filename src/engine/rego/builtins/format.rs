//! `sprintf`, as Go's `fmt` does it for whole numbers, fractions and texts, which is what OPA gives it.

use std::fmt::Write as _;

use anyhow::{Result, anyhow};
use regorus::Value;

use super::super::json;
use super::text;

/// An argument as Go sees it.
enum Argument {
    Whole(i128, String),
    Fraction(f64),
    Text(String),
}

impl Argument {
    fn of(value: &Value) -> Self {
        match value {
            Value::Number(number) if number.is_integer() => {
                let text = number.format_decimal();
                match text.parse() {
                    Ok(whole) => Self::Whole(whole, text),
                    Err(_) => Self::Text(text),
                }
            }
            Value::Number(number) => match number.as_f64() {
                Some(fraction) => Self::Fraction(fraction),
                None => Self::Text(value.to_string()),
            },
            Value::String(text) => Self::Text(text.to_string()),
            other => Self::Text(term(other)),
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Whole(..) => "int64",
            Self::Fraction(_) => "float64",
            Self::Text(_) => "string",
        }
    }

    fn plain(&self) -> String {
        match self {
            Self::Whole(_, text) | Self::Text(text) => text.clone(),
            Self::Fraction(fraction) => shortest(*fraction, None),
        }
    }
}

/// A value as Rego writes it.
fn term(value: &Value) -> String {
    let all =
        |items: &mut dyn Iterator<Item = &Value>| items.map(term).collect::<Vec<_>>().join(", ");
    match value {
        Value::Array(items) => format!("[{}]", all(&mut items.iter())),
        Value::Set(items) if items.iter_sorted().next().is_none() => "set()".to_owned(),
        Value::Set(items) => format!("{{{}}}", all(&mut items.iter_sorted())),
        Value::Object(members) => {
            let members = members.iter_sorted();
            let all: Vec<String> = members
                .map(|(key, value)| format!("{}: {}", term(key), term(value)))
                .collect();
            format!("{{{}}}", all.join(", "))
        }
        Value::String(text) => quoted(text),
        other => {
            let mut text = Vec::new();
            let _ = json::write(other, usize::MAX, &mut text);
            String::from_utf8(text).unwrap_or_default()
        }
    }
}

/// As Go quotes a text.
fn quoted(text: &str) -> String {
    let mut out = "\"".to_owned();
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            control if control.is_control() && (control as u32) < 0x80 => {
                let _ = write!(out, "\\x{:02x}", control as u32);
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// What stands between `%` and the verb.
#[derive(Default)]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

impl Spec {
    fn pad(&self, body: &str, is_number: bool) -> String {
        let length = body.chars().count();
        let Some(missing) = self.width.and_then(|width| width.checked_sub(length)) else {
            return body.to_owned();
        };
        if self.minus {
            return format!("{body}{}", " ".repeat(missing));
        }
        if self.zero && is_number {
            let (sign, digits) = match body.strip_prefix(['-', '+', ' ']) {
                Some(digits) => body.split_at(body.len() - digits.len()),
                None => ("", body),
            };
            return format!("{sign}{}{digits}", "0".repeat(missing));
        }
        let fill = if self.zero { "0" } else { " " };
        format!("{}{body}", fill.repeat(missing))
    }

    fn signed(&self, is_negative: bool, digits: &str) -> String {
        let sign = match (is_negative, self.plus, self.space) {
            (true, _, _) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            _ => "",
        };
        format!("{sign}{digits}")
    }
}

/// The text with its verbs replaced; verbs and arguments that do not fit are said in it.
pub(super) fn sprintf(arguments: &[Value]) -> Result<Value> {
    super::bounds::format(arguments)?;
    let pattern = text(arguments, 0)?;
    let Some(Value::Array(values)) = arguments.get(1) else {
        return Err(anyhow!("operand 2 must be array"));
    };
    let values: Vec<Argument> = values.iter().map(Argument::of).collect();
    let mut values = values.iter();
    let mut out = String::with_capacity(pattern.len());
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = letters.next_if(|next| "-+# 0".contains(*next)) {
            match flag {
                '-' => spec.minus = true,
                '+' => spec.plus = true,
                '#' => spec.sharp = true,
                ' ' => spec.space = true,
                _ => spec.zero = true,
            }
        }
        let mut number = || {
            let mut digits = String::new();
            while let Some(digit) = letters.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            digits
        };
        spec.width = number().parse().ok();
        if letters.next_if_eq(&'.').is_some() {
            let mut digits = String::new();
            while let Some(digit) = letters.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            spec.precision = Some(digits.parse().unwrap_or(0));
        }
        let Some(verb) = letters.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        match values.next() {
            Some(argument) => out.push_str(&one(&spec, verb, argument)),
            None => {
                let _ = write!(out, "%!{verb}(MISSING)");
            }
        }
    }
    let extra: Vec<String> = values
        .map(|argument| format!("{}={}", argument.kind(), argument.plain()))
        .collect();
    if !extra.is_empty() {
        let _ = write!(out, "%!(EXTRA {})", extra.join(", "));
    }
    Ok(Value::from(out))
}

fn one(spec: &Spec, verb: char, argument: &Argument) -> String {
    match (verb, argument) {
        ('T', _) => spec.pad(argument.kind(), false),
        ('v' | 'd', Argument::Whole(whole, text)) => {
            let digits = text.trim_start_matches('-');
            spec.pad(&spec.signed(*whole < 0, digits), true)
        }
        ('b' | 'o' | 'O' | 'x' | 'X', Argument::Whole(whole, _)) => {
            let size = whole.unsigned_abs();
            let (prefix, digits) = match verb {
                'b' => ("0b", format!("{size:b}")),
                'o' => ("0", format!("{size:o}")),
                'O' => ("", format!("0o{size:o}")),
                'x' => ("0x", format!("{size:x}")),
                _ => ("0X", format!("{size:X}")),
            };
            let digits = if spec.sharp {
                format!("{prefix}{digits}")
            } else {
                digits
            };
            spec.pad(&spec.signed(*whole < 0, &digits), true)
        }
        ('c', Argument::Whole(whole, _)) => {
            let letter = u32::try_from(*whole).ok().and_then(char::from_u32);
            let letter = letter.unwrap_or(char::REPLACEMENT_CHARACTER);
            spec.pad(letter.encode_utf8(&mut [0; 4]), false)
        }
        ('U', Argument::Whole(whole, _)) => spec.pad(&format!("U+{whole:04X}"), false),
        ('v' | 'g' | 'G' | 'e' | 'E' | 'f' | 'F', Argument::Fraction(fraction)) => {
            let digits = match verb {
                'e' | 'E' => exponent(fraction.abs(), spec.precision.unwrap_or(6)),
                'f' | 'F' => format!("{:.*}", spec.precision.unwrap_or(6), fraction.abs()),
                _ => shortest(fraction.abs(), spec.precision),
            };
            let digits = if verb == 'G' || verb == 'E' {
                digits.to_uppercase()
            } else {
                digits
            };
            spec.pad(&spec.signed(fraction.is_sign_negative(), &digits), true)
        }
        ('v' | 's', Argument::Text(text)) => {
            let cut: String = match spec.precision {
                Some(most) => text.chars().take(most).collect(),
                None => text.clone(),
            };
            spec.pad(&cut, false)
        }
        ('q', Argument::Text(text)) => spec.pad(&quoted(text), false),
        ('x', Argument::Text(text)) => spec.pad(&hex::encode(text), false),
        ('X', Argument::Text(text)) => spec.pad(&hex::encode_upper(text), false),
        _ => format!("%!{verb}({}={})", argument.kind(), one(spec, 'v', argument)),
    }
}

/// Go's `%e`: at least two digits of exponent.
fn exponent(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    let Some((digits, power)) = text.split_once('e') else {
        return text;
    };
    let power: i32 = power.parse().unwrap_or(0);
    let sign = if power < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", power.abs())
}

/// Go's `%g`: with an exponent where that is below -4, or as large as the number of digits.
fn shortest(value: f64, precision: Option<usize>) -> String {
    /// Digits before the point without a precision.
    const PLAIN: i32 = 21;
    if value == 0.0 {
        return "0".to_owned();
    }
    let scientific = match precision {
        Some(precision) => format!("{:.*e}", precision.max(1) - 1, value),
        None => format!("{value:e}"),
    };
    let Some((digits, power)) = scientific.split_once('e') else {
        return scientific;
    };
    let power: i32 = power.parse().unwrap_or(0);
    let limit = precision.map_or(PLAIN, |precision| precision.max(1) as i32);
    let trimmed = if precision.is_some() && digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    };
    if power < -4 || power >= limit {
        let sign = if power < 0 { '-' } else { '+' };
        return format!("{trimmed}e{sign}{:02}", power.abs());
    }
    let fraction = trimmed.split_once('.').map_or(0, |(_, after)| after.len()) as i32 - power;
    format!("{value:.*}", usize::try_from(fraction).unwrap_or(0))
}
