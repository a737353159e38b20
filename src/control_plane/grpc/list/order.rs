//! `created_at desc, name`.

use std::cmp::Ordering;

use prost_types::Timestamp;
use tonic::Status;

use crate::api::policy_engine::v1::{Policy, PolicyType};

const FIELDS: &str = "name, type, severity, enabled, created_at and updated_at";
/// From the least.
const SEVERITIES: [&str; 4] = ["low", "medium", "high", "critical"];

/// Fields, the most significant first; ties go by id.
#[derive(Debug)]
pub(super) struct Order(Vec<(Field, bool)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Name,
    Type,
    Severity,
    Enabled,
    CreatedAt,
    UpdatedAt,
    Id,
}

impl Order {
    /// Reads the text; an empty one is `created_at desc`.
    pub(super) fn parse(text: &str) -> Result<Self, Status> {
        let wrong = |text: String| Status::invalid_argument(format!("`order_by`: {text}"));
        let mut fields: Vec<(Field, bool)> = Vec::new();
        let text = if text.is_empty() {
            "created_at desc"
        } else {
            text
        };
        for part in text.split(',') {
            let mut words = part.split_whitespace();
            let name = words.next().unwrap_or_default();
            let field = match name {
                "name" => Field::Name,
                "type" => Field::Type,
                "severity" => Field::Severity,
                "enabled" => Field::Enabled,
                "created_at" => Field::CreatedAt,
                "updated_at" => Field::UpdatedAt,
                _ => {
                    let shown: String = name.chars().take(64).collect();
                    return Err(wrong(format!("`{shown}` is no field: there are {FIELDS}")));
                }
            };
            let falling = match words.next() {
                None => false,
                Some(word) if word.eq_ignore_ascii_case("asc") => false,
                Some(word) if word.eq_ignore_ascii_case("desc") => true,
                Some(_) => return Err(wrong("a field is followed by `asc` or `desc`".into())),
            };
            if words.next().is_some() {
                return Err(wrong("fields are separated by commas".into()));
            }
            if fields.iter().any(|(known, _)| *known == field) {
                return Err(wrong(format!("`{name}` stands there twice")));
            }
            fields.push((field, falling));
        }
        fields.push((Field::Id, false));
        Ok(Self(fields))
    }

    /// How many keys there are.
    pub(super) const fn length(&self) -> usize {
        self.0.len()
    }

    /// What a policy is sorted by: texts that sort as what they stand for.
    pub(super) fn keys(&self, policy: &Policy) -> Vec<String> {
        self.0.iter().map(|(field, _)| field.of(policy)).collect()
    }

    pub(super) fn compare(&self, one: &[String], other: &[String]) -> Ordering {
        self.0
            .iter()
            .zip(one.iter().zip(other))
            .map(|((_, falling), (one, other))| {
                let order = one.cmp(other);
                if *falling { order.reverse() } else { order }
            })
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

impl Field {
    fn of(self, policy: &Policy) -> String {
        match self {
            Self::Name => policy.name.clone(),
            Self::Type => PolicyType::try_from(policy.r#type)
                .map_or("", |kind| kind.as_str_name())
                .to_owned(),
            Self::Severity => SEVERITIES
                .iter()
                .position(|severity| *severity == policy.severity)
                .map_or_else(String::new, |rank| rank.to_string()),
            Self::Enabled => u8::from(policy.enabled).to_string(),
            Self::CreatedAt => moment(policy.created_at.as_ref()),
            Self::UpdatedAt => moment(policy.updated_at.as_ref()),
            Self::Id => policy.id.clone(),
        }
    }
}

fn moment(moment: Option<&Timestamp>) -> String {
    moment.map_or_else(String::new, |moment| {
        format!("{:020}.{:09}", moment.seconds.max(0), moment.nanos.max(0))
    })
}
