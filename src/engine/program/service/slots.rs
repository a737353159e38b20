//! Where the fields of a service lie in the input, in the snake_case of protobuf and in camelCase.

use crate::engine::program::run::written;
use bumpalo::Bump;

use crate::engine::Value;
use crate::engine::input::{Layout, Root, Slot};
use crate::engine::program::run::Run;
use crate::engine::program::validation::Finding;

/// One field in its spellings.
#[derive(Debug)]
pub(in crate::engine::program) struct Field {
    /// As violations name it.
    pub name: &'static str,
    slot: Slot,
    /// In its other spelling.
    other: Option<Slot>,
}

/// The fields that service policies read.
#[derive(Debug)]
pub(in crate::engine::program) struct ServiceSlots {
    pub data_residency: Field,
    pub certifications: Field,
    pub level: Field,
    pub gdpr: Field,
    pub hipaa: Field,
    pub url: Field,
    pub authentication: Field,
    pub availability: Field,
    pub support_level: Field,
    pub rates: Field,
    pub encryption_at_rest: Field,
    pub encryption_in_transit: Field,
    pub tls_version: Field,
}

impl ServiceSlots {
    /// Asks for the fields.
    pub fn new(layout: &mut Layout) -> Self {
        let mut field = |block: &str, name: &'static str, members: &[&str]| {
            let mut slots = members
                .iter()
                .map(|member| layout.slot(Root::Input, &[block, member]));
            Field {
                name,
                slot: slots.next().unwrap_or(Layout::root(Root::Input)),
                other: slots.next(),
            }
        };
        Self {
            data_residency: field(
                "compliance",
                "compliance.dataResidency",
                &["data_residency", "dataResidency"],
            ),
            certifications: field(
                "compliance",
                "compliance.certifications",
                &["certifications"],
            ),
            level: field("compliance", "compliance.level", &["level"]),
            gdpr: field(
                "compliance",
                "compliance.gdprCompliant",
                &["gdpr_compliant", "gdprCompliant"],
            ),
            hipaa: field(
                "compliance",
                "compliance.hipaaCompliant",
                &["hipaa_compliant", "hipaaCompliant"],
            ),
            url: field("endpoint", "endpoint.url", &["url"]),
            authentication: field("endpoint", "endpoint.authentication", &["authentication"]),
            availability: field("sla", "sla.availability", &["availability"]),
            support_level: field(
                "sla",
                "sla.supportLevel",
                &["support_level", "supportLevel"],
            ),
            rates: field("pricing", "pricing.rates", &["rates"]),
            encryption_at_rest: field(
                "metadata",
                "metadata.encryptionAtRest",
                &["encryption_at_rest", "encryptionAtRest"],
            ),
            encryption_in_transit: field(
                "metadata",
                "metadata.encryptionInTransit",
                &["encryption_in_transit", "encryptionInTransit"],
            ),
            tls_version: field(
                "metadata",
                "metadata.tlsVersion",
                &["tls_version", "tlsVersion"],
            ),
        }
    }

    /// The fields of this request's service.
    pub fn reader<'r, 'a>(&'a self, run: &'r Run<'a>) -> Service<'r, 'a> {
        Service { slots: self, run }
    }
}

/// The service of one request. Null counts as absent.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine::program) struct Service<'r, 'a> {
    pub slots: &'a ServiceSlots,
    run: &'r Run<'a>,
}

/// A field that is not of the type it must have.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine::program) struct WrongType {
    field: &'static str,
    expected: &'static str,
}

impl WrongType {
    /// The violation that it is: what cannot be read cannot comply.
    pub fn finding(self, arena: &Bump) -> Finding<'_> {
        let Self { field, expected } = self;
        Finding {
            field,
            message: written(arena, format_args!("`{field}` must be {expected}")),
            remediation: "Send the field in its documented type",
            actual: None,
            expected: Some(expected),
        }
    }
}

impl<'a> Service<'_, 'a> {
    /// A value as people read it.
    pub fn rendered(&self, value: &Value<'a>) -> &'a str {
        self.run.text(value)
    }

    pub fn arena(&self) -> &'a Bump {
        self.run.arena
    }

    /// Elements of the lists that checks walk.
    pub fn elements(&self) -> usize {
        [
            &self.slots.data_residency,
            &self.slots.certifications,
            &self.slots.rates,
        ]
        .into_iter()
        .map(|field| match self.value(field) {
            Some(Value::List(items)) => items.len(),
            _ => 0,
        })
        .sum()
    }

    /// The field's value, in whichever spelling came.
    pub fn value(&self, field: &Field) -> Option<Value<'a>> {
        let slots = self.run.slots();
        slots
            .get(field.slot)
            .or_else(|| slots.get(field.other?))
            .filter(|value| !matches!(value, Value::Null))
    }

    /// Text; absent is empty.
    #[inline]
    pub fn text(&self, field: &Field) -> Result<&'a str, WrongType> {
        if let Some(Value::String(text)) = self.run.slots().get(field.slot) {
            return Ok(text);
        }
        match self.value(field) {
            None => Ok(""),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(field.wrong("a string")),
        }
    }

    /// A flag; absent is false.
    pub fn flag(&self, field: &Field) -> Result<bool, WrongType> {
        self.optional_flag(field).map(Option::unwrap_or_default)
    }

    /// A flag, also as the text `true` or `false`, as maps of strings carry it.
    pub fn optional_flag(&self, field: &Field) -> Result<Option<bool>, WrongType> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(field.wrong("true or false")),
        }
    }

    /// A number; absent is 0.
    pub fn number(&self, field: &Field) -> Result<f64, WrongType> {
        match self.value(field) {
            None => Ok(0.0),
            Some(value) => value.as_number().ok_or_else(|| field.wrong("a number")),
        }
    }

    /// A list of objects; absent is empty.
    pub fn objects(&self, field: &Field) -> Result<&'a [Value<'a>], WrongType> {
        self.list(field, "a list of objects", |item| {
            matches!(item, Value::Map(_))
        })
    }

    /// A list of strings; absent is empty.
    #[inline]
    pub fn texts(
        &self,
        field: &Field,
    ) -> Result<impl ExactSizeIterator<Item = &'a str> + Clone + use<'a>, WrongType> {
        let list = self.list(field, "a list of strings", |item| {
            matches!(item, Value::String(_))
        })?;
        Ok(list.iter().map(|item| item.as_str().unwrap_or_default()))
    }

    #[inline]
    fn list(
        &self,
        field: &Field,
        expected: &'static str,
        fits: impl Fn(&Value<'a>) -> bool,
    ) -> Result<&'a [Value<'a>], WrongType> {
        if let Some(Value::List(items)) = self.run.slots().get(field.slot)
            && items.iter().all(&fits)
        {
            return Ok(items);
        }
        match self.value(field) {
            None => Ok(&[]),
            Some(Value::List(items)) if items.iter().all(fits) => Ok(items),
            Some(_) => Err(field.wrong(expected)),
        }
    }
}

impl Field {
    pub const fn wrong(&self, expected: &'static str) -> WrongType {
        WrongType {
            field: self.name,
            expected,
        }
    }
}
