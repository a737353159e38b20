//! Messages as the engine's input: JSON text with the names of the wire, scalars and lists always there, messages that
//! are not set left out.

use std::collections::HashMap;

use tonic::Status;

use crate::api::json;
use crate::api::policy_engine::v1::{
    CheckAccessRequest, PricingTier, ServiceCapability, ServiceCompliance, ServiceEndpoint,
    ServicePricing, ServiceSla, ValidateConsumptionRequest, ValidateServiceRequest,
};

/// What `ValidateService` validates.
///
/// # Errors
///
/// `INVALID_ARGUMENT` for a number that is none.
pub(super) fn service(request: &ValidateServiceRequest) -> Result<Vec<u8>, Status> {
    let mut out = Vec::with_capacity(1024);
    let mut object = Object::begin(&mut out);
    object.text("service_id", &request.service_id);
    object.text("name", &request.name);
    object.text("version", &request.version);
    object.text("description", &request.description);
    object.text("provider_id", &request.provider_id);
    object.text("category", &request.category);
    if let Some(message) = &request.endpoint {
        object.message("endpoint", |object| endpoint(object, message));
    }
    if let Some(message) = &request.compliance {
        object.message("compliance", |object| compliance(object, message));
    }
    if let Some(message) = &request.sla {
        finite("sla.availability", message.availability)?;
        object.message("sla", |object| sla(object, message));
    }
    if let Some(message) = &request.pricing {
        for tier in &message.rates {
            finite("pricing.rates.rate", tier.rate)?;
        }
        object.message("pricing", |object| pricing(object, message));
    }
    object.messages("capabilities", &request.capabilities, capability);
    object.end();
    Ok(out)
}

/// What `CheckAccess` asks.
pub(super) fn access(request: &CheckAccessRequest) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let mut object = Object::begin(&mut out);
    object.text("user_id", &request.user_id);
    object.text("service_id", &request.service_id);
    object.text("action", &request.action);
    object.map("context", &request.context);
    object.end();
    out
}

/// What `ValidateConsumption` validates.
pub(super) fn consumption(request: &ValidateConsumptionRequest) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let mut object = Object::begin(&mut out);
    object.text("consumer_id", &request.consumer_id);
    object.text("service_id", &request.service_id);
    object.text("request_payload", &request.request_payload);
    object.map("headers", &request.headers);
    if let Some(context) = &request.context {
        object.message("context", |object| {
            object.text("ip_address", &context.ip_address);
            object.text("user_agent", &context.user_agent);
            object.text("region", &context.region);
            object.map("metadata", &context.metadata);
        });
    }
    object.end();
    out
}

fn finite(name: &str, value: f64) -> Result<(), Status> {
    if value.is_finite() {
        return Ok(());
    }
    let text = format!("`{name}` is {value}, which is no number");
    Err(Status::invalid_argument(text))
}

fn endpoint(object: &mut Object<'_>, message: &ServiceEndpoint) {
    object.text("url", &message.url);
    object.text("protocol", &message.protocol);
    object.text("authentication", &message.authentication);
}

fn compliance(object: &mut Object<'_>, message: &ServiceCompliance) {
    object.text("level", &message.level);
    object.texts("certifications", &message.certifications);
    object.texts("data_residency", &message.data_residency);
    object.flag("gdpr_compliant", message.gdpr_compliant);
    object.flag("hipaa_compliant", message.hipaa_compliant);
}

fn sla(object: &mut Object<'_>, message: &ServiceSla) {
    object.double("availability", message.availability);
    object.integer("max_latency", message.max_latency);
    object.text("support_level", &message.support_level);
}

fn pricing(object: &mut Object<'_>, message: &ServicePricing) {
    object.text("model", &message.model);
    object.messages("rates", &message.rates, tier);
    object.text("currency", &message.currency);
}

fn tier(object: &mut Object<'_>, message: &PricingTier) {
    object.text("tier", &message.tier);
    object.double("rate", message.rate);
    object.text("unit", &message.unit);
    object.text("description", &message.description);
}

fn capability(object: &mut Object<'_>, message: &ServiceCapability) {
    object.text("name", &message.name);
    object.text("description", &message.description);
}

/// A JSON object under construction.
struct Object<'o> {
    out: &'o mut Vec<u8>,
    empty: bool,
}

impl<'o> Object<'o> {
    fn begin(out: &'o mut Vec<u8>) -> Self {
        json::raw(out, "{");
        Self { out, empty: true }
    }

    fn end(self) {
        json::raw(self.out, "}");
    }

    fn key(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.empty {
            json::raw(self.out, ",");
        }
        self.empty = false;
        json::string(self.out, name);
        json::raw(self.out, ":");
        self.out
    }

    fn text(&mut self, name: &str, value: &str) {
        json::string(self.key(name), value);
    }

    fn texts(&mut self, name: &str, values: &[String]) {
        json::list(self.key(name), values, |out, value| {
            json::string(out, value);
        });
    }

    fn flag(&mut self, name: &str, value: bool) {
        json::boolean(self.key(name), value);
    }

    fn integer(&mut self, name: &str, value: i32) {
        json::integer(self.key(name), value);
    }

    fn double(&mut self, name: &str, value: f64) {
        json::double(self.key(name), value);
    }

    fn map(&mut self, name: &str, entries: &HashMap<String, String>) {
        let mut object = Object::begin(self.key(name));
        for (name, value) in entries {
            object.text(name, value);
        }
        object.end();
    }

    fn message(&mut self, name: &str, write: impl FnOnce(&mut Object<'_>)) {
        let mut object = Object::begin(self.key(name));
        write(&mut object);
        object.end();
    }

    fn messages<M>(&mut self, name: &str, messages: &[M], write: fn(&mut Object<'_>, &M)) {
        json::list(self.key(name), messages, |out, message| {
            let mut object = Object::begin(out);
            write(&mut object, message);
            object.end();
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::policy_engine::v1::ConsumptionContext;

    fn read(text: &[u8]) -> Value {
        serde_json::from_slice(text).unwrap()
    }

    #[test]
    fn scalars_and_lists_are_there_and_messages_that_are_not_set_are_not() {
        assert_eq!(
            read(&service(&ValidateServiceRequest::default()).unwrap()),
            json!({"service_id": "", "name": "", "version": "", "description": "", "provider_id": "",
                   "category": "", "capabilities": []})
        );
        let request = ValidateServiceRequest {
            name: "a \"b\"\n".into(),
            endpoint: Some(ServiceEndpoint::default()),
            compliance: Some(ServiceCompliance {
                data_residency: vec!["DE".into()],
                ..ServiceCompliance::default()
            }),
            sla: Some(ServiceSla {
                availability: 99.0,
                max_latency: -1,
                ..ServiceSla::default()
            }),
            pricing: Some(ServicePricing {
                rates: vec![PricingTier::default()],
                ..ServicePricing::default()
            }),
            capabilities: vec![ServiceCapability::default()],
            ..ValidateServiceRequest::default()
        };
        let value = read(&service(&request).unwrap());
        assert_eq!(value["name"], "a \"b\"\n");
        assert_eq!(
            value["endpoint"],
            json!({"url": "", "protocol": "", "authentication": ""})
        );
        assert_eq!(
            value["compliance"],
            json!({"level": "", "certifications": [], "data_residency": ["DE"],
                   "gdpr_compliant": false, "hipaa_compliant": false})
        );
        assert_eq!(
            value["sla"],
            json!({"availability": 99.0, "max_latency": -1, "support_level": ""})
        );
        assert_eq!(value["pricing"]["rates"][0]["rate"], json!(0.0));
        assert_eq!(
            value["capabilities"],
            json!([{"name": "", "description": ""}])
        );
    }

    #[test]
    fn maps_are_objects() {
        let entries = HashMap::from([("a\"".to_owned(), "1".to_owned())]);
        let asked = access(&CheckAccessRequest {
            context: entries.clone(),
            ..CheckAccessRequest::default()
        });
        assert_eq!(read(&asked)["context"], json!({"a\"": "1"}));
        let asked = consumption(&ValidateConsumptionRequest {
            headers: entries,
            context: Some(ConsumptionContext::default()),
            ..ValidateConsumptionRequest::default()
        });
        assert_eq!(read(&asked)["headers"], json!({"a\"": "1"}));
        assert_eq!(read(&asked)["context"]["metadata"], json!({}));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for availability in [f64::NAN, f64::INFINITY] {
            let request = ValidateServiceRequest {
                sla: Some(ServiceSla {
                    availability,
                    ..ServiceSla::default()
                }),
                ..ValidateServiceRequest::default()
            };
            let refused = service(&request).unwrap_err();
            assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        }
    }
}
