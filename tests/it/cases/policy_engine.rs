//! Questions of the policy engine's API, asked over gRPC: their JSON as its messages, as far as those can hold it.

use lictor::api::policy_engine::DESCRIPTORS;
use prost::Message as _;
use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    ReflectMessage as _, Value as Field,
};
use serde_json::{Map, Value, json};

use crate::support::grpc::{Grpc, framed};
use crate::support::sidecar::Sidecar;

use super::{Question, difference};

/// Method and request; None where the question is none of this API's, or says what no message of it can.
fn request(question: &Question) -> Option<(&'static str, DynamicMessage)> {
    let method = match question.ask.as_str() {
        "validate" => "ValidateService",
        "check" => "CheckAccess",
        "consumption" => "ValidateConsumption",
        _ => return None,
    };
    if !question.claims.is_null() {
        return None;
    }
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    let name = format!("policyengine.v1.{method}Request");
    let descriptor = pool.get_message_by_name(&name).unwrap();
    Some((method, message(&descriptor, &question.input)?))
}

fn message(descriptor: &MessageDescriptor, json: &Value) -> Option<DynamicMessage> {
    let mut message = DynamicMessage::new(descriptor.clone());
    for (name, value) in json.as_object()? {
        let field = descriptor
            .get_field_by_name(name)
            .or_else(|| descriptor.get_field_by_json_name(name))?;
        message.set_field(&field, field_value(&field, value)?);
    }
    Some(message)
}

fn field_value(field: &FieldDescriptor, json: &Value) -> Option<Field> {
    if field.is_map() {
        let entries = json.as_object()?.iter();
        let entries = entries.map(|(name, value)| {
            let value = Field::String(value.as_str()?.to_owned());
            Some((MapKey::String(name.clone()), value))
        });
        return entries.collect::<Option<_>>().map(Field::Map);
    }
    if field.cardinality() == Cardinality::Repeated {
        let items = json.as_array()?.iter();
        return items
            .map(|item| scalar(&field.kind(), item))
            .collect::<Option<_>>()
            .map(Field::List);
    }
    scalar(&field.kind(), json)
}

fn scalar(kind: &Kind, json: &Value) -> Option<Field> {
    Some(match kind {
        Kind::String => Field::String(json.as_str()?.to_owned()),
        Kind::Bool => Field::Bool(json.as_bool()?),
        Kind::Double => Field::F64(json.as_f64()?),
        Kind::Int32 => Field::I32(json.as_i64()?.try_into().ok()?),
        Kind::Int64 => Field::I64(json.as_i64()?),
        Kind::Message(descriptor) => Field::Message(message(descriptor, json)?),
        _ => return None,
    })
}

/// A message as our own doors would say it: every field, under its own name.
fn written(message: &DynamicMessage) -> Value {
    let mut members = Map::new();
    for field in message.descriptor().fields() {
        let value = match message.get_field(&field).into_owned() {
            Field::Message(_) if !message.has_field(&field) => Value::Null,
            Field::Message(message) => written(&message),
            Field::List(items) => items.iter().map(plain).collect(),
            value => plain(&value),
        };
        members.insert(field.name().to_owned(), value);
    }
    Value::Object(members)
}

fn plain(value: &Field) -> Value {
    match value {
        Field::Bool(value) => json!(value),
        Field::I32(value) => json!(value),
        Field::I64(value) => json!(value),
        Field::F64(value) => json!(value),
        Field::String(value) => json!(value),
        Field::Message(message) => written(message),
        other => panic!("{other:?}"),
    }
}

/// What differs from what is expected; None where the question cannot be asked here.
pub(super) fn wrong(
    sidecar: &Sidecar,
    number: u64,
    question: &Question,
) -> Option<Result<(), String>> {
    let (method, message) = request(question)?;
    let path = format!("/policyengine.v1.PolicyEngineService/{method}");
    let ended = Grpc::tcp(sidecar.grpc).call_with(&path, &[], framed(&message.encode_to_vec()));
    if ended.code != 0 {
        return Some(Err(format!("{ended:?}")));
    }
    let revision = ended.headers["x-lictor-revision"].to_str().unwrap();
    if !revision.starts_with(&format!("{number}-")) {
        return Some(Err(format!("not of bundle {number}: {revision}")));
    }
    let pool = message.descriptor().parent_pool().clone();
    let name = format!("policyengine.v1.{method}Response");
    let descriptor = pool.get_message_by_name(&name).unwrap();
    let got = written(&DynamicMessage::decode(descriptor, ended.message).unwrap());
    // What the message has no field for, our own door alone says.
    let mut expected = question.expect.clone();
    let members = expected.as_object_mut().unwrap();
    members.retain(|name, _| got.get(name).is_some());
    Some(match difference(&expected, &got, "") {
        Some(what) => Err(format!("{what}\n  {got}")),
        None => Ok(()),
    })
}
