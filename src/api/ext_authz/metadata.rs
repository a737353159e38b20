//! `google.protobuf.Struct` and Envoy's `Metadata` as JSON text: for the few who read them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::api::json;
use crate::api::protobuf::{DecodeError, Field, Reader};

/// A value nested deeper is refused.
const MAX_DEPTH: u32 = 64;

/// How the members of a message are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// `filter_metadata`
    Snake,
    /// `filterMetadata`
    Camel,
}

/// A `Metadata` message: `{filter_metadata: {namespace: {..}}, typed_filter_metadata: {namespace: {type_url, value}}}`,
/// what is empty left out.
///
/// # Errors
///
/// [`DecodeError`].
pub fn metadata_json(out: &mut Vec<u8>, message: &[u8], names: Names) -> Result<(), DecodeError> {
    let (plain, typed) = match names {
        Names::Snake => ("filter_metadata", "typed_filter_metadata"),
        Names::Camel => ("filterMetadata", "typedFilterMetadata"),
    };
    json::raw(out, "{");
    let mut first = true;
    for (wanted, name) in [(1, plain), (2, typed)] {
        let mut fields = Reader::new(message);
        let mut open = false;
        while let Some((number, field)) = fields.field()? {
            if number != wanted {
                continue;
            }
            let (key, value) = map_entry(field, "filter_metadata")?;
            if open {
                json::raw(out, ",");
            } else {
                json::raw(out, if first { "" } else { "," });
                json::string(out, name);
                json::raw(out, ":{");
                (open, first) = (true, false);
            }
            json::string(out, key);
            json::raw(out, ":");
            if wanted == 1 {
                struct_at(out, Reader::new(value), MAX_DEPTH)?;
            } else {
                any(out, Reader::new(value), names)?;
            }
        }
        if open {
            json::raw(out, "}");
        }
    }
    json::raw(out, "}");
    Ok(())
}

fn struct_at(out: &mut Vec<u8>, mut fields: Reader<'_>, depth: u32) -> Result<(), DecodeError> {
    let depth = depth.checked_sub(1).ok_or(DecodeError::Depth)?;
    json::raw(out, "{");
    let mut first = true;
    while let Some((number, field)) = fields.field()? {
        if number != 1 {
            continue;
        }
        let (key, value) = map_entry(field, "fields")?;
        json::raw(out, if first { "" } else { "," });
        first = false;
        json::string(out, key);
        json::raw(out, ":");
        value_at(out, Reader::new(value), depth)?;
    }
    json::raw(out, "}");
    Ok(())
}

/// `Value{null 1, number 2, string 3, bool 4, struct 5, list 6}`; the last one wins.
fn value_at(out: &mut Vec<u8>, mut fields: Reader<'_>, depth: u32) -> Result<(), DecodeError> {
    let start = out.len();
    json::raw(out, "null");
    while let Some((number, field)) = fields.field()? {
        if !(1..=6).contains(&number) {
            continue;
        }
        out.truncate(start);
        match number {
            2 => match field {
                Field::Fixed64(bits) => double(out, f64::from_bits(bits)),
                _ => return Err(DecodeError::Type("number_value")),
            },
            3 => json::string(out, field.text("string_value")?),
            4 => json::boolean(out, field.number("bool_value")? != 0),
            5 => struct_at(out, field.message("struct_value")?, depth)?,
            6 => list_at(out, field.message("list_value")?, depth)?,
            _ => {
                field.number("null_value")?;
                json::raw(out, "null");
            }
        }
    }
    Ok(())
}

fn list_at(out: &mut Vec<u8>, mut fields: Reader<'_>, depth: u32) -> Result<(), DecodeError> {
    let depth = depth.checked_sub(1).ok_or(DecodeError::Depth)?;
    json::raw(out, "[");
    let mut first = true;
    while let Some((number, field)) = fields.field()? {
        if number == 1 {
            json::raw(out, if first { "" } else { "," });
            first = false;
            value_at(out, field.message("values")?, depth)?;
        }
    }
    json::raw(out, "]");
    Ok(())
}

/// An `Any{type_url 1, value 2}`.
fn any(out: &mut Vec<u8>, mut fields: Reader<'_>, names: Names) -> Result<(), DecodeError> {
    let (mut type_url, mut value) = ("", &[][..]);
    while let Some((number, field)) = fields.field()? {
        match number {
            1 => type_url = field.text("type_url")?,
            2 => value = field.bytes("value")?,
            _ => {}
        }
    }
    json::raw(
        out,
        match names {
            Names::Snake => "{\"type_url\":",
            Names::Camel => "{\"typeUrl\":",
        },
    );
    json::string(out, type_url);
    json::raw(out, ",\"value\":");
    json::string(out, &STANDARD.encode(value));
    json::raw(out, "}");
    Ok(())
}

fn map_entry<'a>(field: Field<'a>, name: &'static str) -> Result<(&'a str, &'a [u8]), DecodeError> {
    let (mut key, mut value) = ("", &[][..]);
    let mut fields = field.message(name)?;
    while let Some((number, field)) = fields.field()? {
        match number {
            1 => key = field.text(name)?,
            2 => value = field.bytes(name)?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// A whole number as one, and what JSON cannot say as null.
fn double(out: &mut Vec<u8>, value: f64) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        json::integer(out, value as i64);
    } else {
        json::double(out, value);
    }
}
