//! From the wire shapes of an access question to `subject`, `action`, `resource` and `context` in their slots.

use bumpalo::collections::String as BumpString;
use bumpalo::collections::Vec as BumpVec;

use crate::engine::Value;
use crate::engine::input::{Layout, Part, PartName, Root, Slot};
use crate::engine::value::quote_json;

use super::members::{is_object, members};
use super::run::Run;
use super::{AccessRequest, EvaluateError};

/// The fields that access decisions read whatever the policies say.
#[derive(Debug)]
pub(super) struct AccessSlots {
    subject_type: Slot,
    pub subject_id: Slot,
    subject_roles: Slot,
    subject_properties: Slot,
    action_name: Slot,
    action_properties: Slot,
    resource_type: Slot,
    resource_id: Slot,
    resource_properties: Slot,
    context_roles: Slot,
    pub context_address: Slot,
    jwt_role: Slot,
    jwt_roles: Slot,
}

/// An access question, read and checked.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub subject_id: &'a str,
    pub action: &'a str,
    pub resource_type: &'a str,
    /// Roles that rules of AccessPolicies see beside derived ones.
    pub roles: &'a [&'a str],
    /// Roles that ACCESS_CONTROL policies see.
    pub service_roles: &'a [&'a str],
    pub address: Option<Value<'a>>,
}

impl AccessSlots {
    pub fn new(layout: &mut Layout) -> Self {
        Self {
            subject_type: layout.slot(Root::Subject, &["type"]),
            subject_id: layout.slot(Root::Subject, &["id"]),
            subject_roles: layout.slot(Root::Subject, &["properties", "roles"]),
            subject_properties: layout.presence(Root::Subject, &["properties"]),
            action_name: layout.slot(Root::Action, &["name"]),
            action_properties: layout.presence(Root::Action, &["properties"]),
            resource_type: layout.slot(Root::Resource, &["type"]),
            resource_id: layout.slot(Root::Resource, &["id"]),
            resource_properties: layout.presence(Root::Resource, &["properties"]),
            context_roles: layout.slot(Root::Context, &["roles"]),
            context_address: layout.slot(Root::Context, &["ip_address"]),
            jwt_role: layout.slot(Root::Jwt, &["role"]),
            jwt_roles: layout.slot(Root::Jwt, &["roles"]),
        }
    }
}

/// A request that lacks what the question needs.
pub(super) fn invalid(pointer: &str, message: &str) -> EvaluateError {
    EvaluateError::InvalidRequest {
        pointer: pointer.to_owned(),
        message: message.to_owned(),
    }
}

impl AccessRequest<'_> {
    /// Bytes of all its parts.
    pub(super) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        match *self {
            Self::Document(body) | Self::Check(body) => [Some(body), None, None, None],
            Self::Parts {
                subject,
                action,
                resource,
                context,
            } => [Some(subject), Some(action), Some(resource), context],
        }
        .into_iter()
        .flatten()
    }
}

impl<'a> Run<'a> {
    /// Reads an access question into the slots.
    pub fn ask(&mut self, request: AccessRequest<'a>) -> Result<Asked<'a>, EvaluateError> {
        let limit = self.context.limits.input_bytes;
        if request.parts().map(<[u8]>::len).sum::<usize>() > limit {
            return Err(EvaluateError::TooLarge { limit });
        }
        match request {
            AccessRequest::Document(body) => self.document(body)?,
            AccessRequest::Parts {
                subject,
                action,
                resource,
                context,
            } => {
                let body = self.joined([
                    ("subject", Some(subject)),
                    ("action", Some(action)),
                    ("resource", Some(resource)),
                    ("context", context),
                ]);
                self.document(body)?;
            }
            AccessRequest::Check(body) => self.check(body)?,
        }
        self.asked(matches!(request, AccessRequest::Check(_)))
    }

    /// The parts of an evaluation as the document that they stand for.
    fn joined(&self, parts: [(&str, Option<&[u8]>); 4]) -> &'a [u8] {
        let mut body = BumpVec::new_in(self.arena);
        body.push(b'{');
        for (name, text) in parts {
            let Some(text) = text else { continue };
            if body.len() > 1 {
                body.push(b',');
            }
            body.push(b'"');
            body.extend_from_slice(name.as_bytes());
            body.extend_from_slice(b"\":");
            body.extend_from_slice(text);
        }
        body.push(b'}');
        body.into_bump_slice()
    }

    fn document(&self, body: &'a [u8]) -> Result<(), EvaluateError> {
        const PARTS: [PartName; 4] = [
            PartName::of(Root::Subject),
            PartName::of(Root::Action),
            PartName::of(Root::Resource),
            PartName::of(Root::Context),
        ];
        let [subject, action, resource, context] = self
            .fill_parts(Root::Input, PARTS, body)?
            .ok_or_else(|| invalid("", "must be an object"))?;
        for (part, pointer) in [
            (subject, "/subject"),
            (action, "/action"),
            (resource, "/resource"),
        ] {
            match part {
                Part::Object => {}
                Part::Missing => return Err(invalid(pointer, "is required")),
                Part::Null | Part::Other => return Err(invalid(pointer, "must be an object")),
            }
        }
        match context {
            Part::Missing | Part::Object => Ok(()),
            // As if it had not come.
            Part::Null => {
                self.slots()
                    .clear(&self.program.layout, Layout::root(Root::Context));
                Ok(())
            }
            Part::Other => Err(invalid("/context", "must be an object")),
        }
    }

    fn part(&self, root: Root, pointer: &str, text: &'a [u8]) -> Result<(), EvaluateError> {
        if !is_object(text) {
            return Err(invalid(pointer, "must be an object"));
        }
        self.fill(root, text)
    }

    /// `{user_id, service_id, action, context}` as subject `user:<user_id>` and resource `service:<service_id>`.
    fn check(&self, body: &'a [u8]) -> Result<(), EvaluateError> {
        self.fill(Root::Input, body)?;
        let names = ["user_id", "service_id", "action", "context"];
        let [user, service, action, context] = members(body, names, self.context.duplicates)?
            .ok_or_else(|| invalid("", "must be an object"))?;
        let user = text_member("/user_id", user)?;
        let service = text_member("/service_id", service)?;
        let action = text_member("/action", action)?;
        if let Some(context) = context.filter(|text| *text != b"null") {
            self.part(Root::Context, "/context", context)?;
        }
        // With verified claims, `context.roles` is ignored.
        let mut roles = BumpVec::new_in(self.arena);
        self.caller_roles(&mut roles)?;
        let mut properties = BumpString::new_in(self.arena);
        properties.push_str("{\"roles\":[");
        for (index, role) in roles.iter().enumerate() {
            properties.push_str(if index > 0 { "," } else { "" });
            // Writing to memory does not fail.
            let _ = quote_json(&mut properties, role);
        }
        properties.push_str("]}");
        let object = |members: [(&str, &[u8]); 3]| {
            let [first, second, third] = members.map(|(name, text)| (name, Some(text)));
            self.joined([first, second, third, ("", None)])
        };
        let properties = properties.into_bump_str().as_bytes();
        let empty: &[u8] = b"{}";
        self.fill(
            Root::Subject,
            object([
                ("type", b"\"user\""),
                ("id", user),
                ("properties", properties),
            ]),
        )?;
        self.fill(
            Root::Resource,
            object([
                ("type", b"\"service\""),
                ("id", service),
                ("properties", empty),
            ]),
        )?;
        self.fill(
            Root::Action,
            self.joined([("name", Some(action)), ("", None), ("", None), ("", None)]),
        )
    }

    /// Checks the fields that every question needs, and gathers roles.
    fn asked(&mut self, check: bool) -> Result<Asked<'a>, EvaluateError> {
        let slots = &self.program.access_slots;
        self.required(slots.subject_type, "/subject/type")?;
        let subject_id = self.required(slots.subject_id, "/subject/id")?;
        let action = self.required(slots.action_name, "/action/name")?;
        let resource_type = self.required(slots.resource_type, "/resource/type")?;
        self.required(slots.resource_id, "/resource/id")?;
        for (slot, pointer) in [
            (slots.subject_properties, "/subject/properties"),
            (slots.action_properties, "/action/properties"),
            (slots.resource_properties, "/resource/properties"),
        ] {
            if self.slots().contains(slot) && !self.slots().is_object(slot) {
                return Err(invalid(pointer, "must be an object"));
            }
        }
        let mut roles = BumpVec::new_in(self.arena);
        if !self.roles_at(slots.subject_roles, &mut roles) {
            return Err(invalid(
                "/subject/properties/roles",
                "must be a list of strings",
            ));
        }
        let mut service_roles = BumpVec::new_in(self.arena);
        // Nobody else looks at them.
        if !check && self.context.claims.is_none() && !self.program.access_controls.is_empty() {
            service_roles.extend_from_slice(&roles);
        }
        self.caller_roles(&mut service_roles)?;
        self.assignments.key = Some(subject_id);
        Ok(Asked {
            subject_id,
            action,
            resource_type,
            roles: roles.into_bump_slice(),
            service_roles: service_roles.into_bump_slice(),
            address: self.slots().get(slots.context_address),
        })
    }

    fn required(&self, slot: Slot, pointer: &str) -> Result<&'a str, EvaluateError> {
        match self.slots().get(slot) {
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(invalid(pointer, "must be a string")),
            None => Err(invalid(pointer, "is required")),
        }
    }

    /// The roles of verified claims; without any, those of `context.roles`.
    pub fn caller_roles(&self, roles: &mut BumpVec<'a, &'a str>) -> Result<(), EvaluateError> {
        let slots = &self.program.access_slots;
        if self.context.claims.is_some() {
            self.claimed_roles(roles);
        } else if !self.roles_at(slots.context_roles, roles) {
            return Err(invalid(
                "/context/roles",
                "must be a list of strings, or text with commas",
            ));
        }
        Ok(())
    }

    /// The roles of verified claims.
    pub fn claimed_roles(&self, roles: &mut BumpVec<'a, &'a str>) {
        let slots = &self.program.access_slots;
        // What a verified claim says in another shape gives no role.
        self.roles_at(slots.jwt_role, roles);
        self.roles_at(slots.jwt_roles, roles);
    }
}

fn text_member<'t>(pointer: &str, text: Option<&'t [u8]>) -> Result<&'t [u8], EvaluateError> {
    match text {
        None => Err(invalid(pointer, "is required")),
        Some(text) if text.first() == Some(&b'"') => Ok(text),
        Some(_) => Err(invalid(pointer, "must be a string")),
    }
}
