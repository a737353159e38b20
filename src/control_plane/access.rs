//! Who may do what: decided by our own engine, on the access policies beside this file.

use std::sync::Arc;

use serde_json::json;

use crate::control_plane::clock;
use crate::control_plane::registry::Caller;
use crate::engine::{
    AccessRequest, Compiler, Context, DataBuilder, DuplicateMembers, Limits, Program, Scratch,
};
use crate::policy::{self, canonical};

const ROLES: &str = include_str!("access/roles.yaml");

/// What a route does, and to what: an action and a resource type of the access policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    pub action: &'static str,
    pub resource: &'static str,
}

/// The compiled access policies.
#[derive(Clone, Debug)]
pub struct Access {
    program: Arc<Program>,
}

/// The access policies do not hold.
#[derive(Debug, thiserror::Error)]
#[error("the built-in access policies cannot be used: {0}")]
pub struct AccessError(String);

impl Access {
    /// Compiles the access policies and runs their tests.
    ///
    /// # Errors
    ///
    /// When this build's policies and its engine disagree.
    pub fn compile() -> Result<Self, AccessError> {
        let documents = policy::parse(
            "roles.yaml",
            ROLES.as_bytes(),
            policy::Format::Yaml,
            "control-plane",
        )
        .map_err(|errors| AccessError(errors.to_string()))?;
        let mut compiler = Compiler::default();
        for document in documents {
            let hash = canonical::content_hash(document.json.as_bytes())
                .map_err(|error| AccessError(error.to_string()))?;
            compiler.add(document, hash.into());
        }
        let program = compiler
            .compile(DataBuilder::default())
            .map_err(|errors| AccessError(errors.to_string()))?;
        program
            .self_test(clock::now(), Limits::default())
            .map_err(|failures| {
                let texts: Vec<_> = failures.iter().map(ToString::to_string).collect();
                AccessError(texts.join("; "))
            })?;
        Ok(Self {
            program: Arc::new(program),
        })
    }

    /// Whether the caller may. What cannot be decided is refused.
    pub fn allows(&self, caller: &Caller, permission: Permission) -> bool {
        let subject = json!({
            "type": "user",
            "id": caller.subject,
            "properties": {"roles": caller.roles, "tenant": caller.tenant.as_str()},
        })
        .to_string();
        let action = json!({"name": permission.action}).to_string();
        let resource = json!({
            "type": permission.resource,
            "id": caller.tenant.as_str(),
            "properties": {"tenant": caller.tenant.as_str()},
        })
        .to_string();
        let request = AccessRequest::Parts {
            subject: subject.as_bytes(),
            action: action.as_bytes(),
            resource: resource.as_bytes(),
            context: None,
        };
        let context = Context {
            now: clock::now(),
            claims: None,
            principal: "",
            duplicates: DuplicateMembers::Refuse,
            explain: false,
            limits: Limits::default(),
        };
        let scratch = Scratch::default();
        match self.program.access(request, &context, &scratch) {
            Ok(access) => access.allowed,
            Err(error) => {
                tracing::error!(%error, action = permission.action, "access cannot be decided");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: [&str; 8] = [
        "system_admin",
        "tenant_admin",
        "agent_operator",
        "policy_author",
        "auditor",
        "viewer",
        "agent",
        "sidecar",
    ];

    #[test]
    fn every_role_may_what_the_table_says_and_nothing_else() {
        // One letter per role, in the order of `ROLES`; `.` = refused.
        let table = [
            ("list", "policy", "STOPAVG."),
            ("read", "policy", "STOPAVG."),
            ("create", "policy", "ST.P...."),
            ("create_version", "policy", "ST.P...."),
            ("activate", "policy", "ST......"),
            ("archive", "policy", "ST......"),
            ("verify", "policy", "ST..A..."),
            ("read", "bundle", "STO....s"),
            ("report", "sidecar", ".......s"),
            ("list", "sidecar", "STO.AV.."),
            ("read", "metrics", "S...A..."),
            ("delete", "policy", "S......."),
            ("read", "secret", "........"),
        ];
        let access = Access::compile().unwrap();
        for (action, resource, row) in table {
            for (role, letter) in ROLES.into_iter().zip(row.chars()) {
                let caller = Caller {
                    tenant: "acme".parse().unwrap(),
                    subject: "someone".into(),
                    roles: vec![role.into()],
                };
                let permission = Permission { action, resource };
                assert_eq!(
                    access.allows(&caller, permission),
                    letter != '.',
                    "{role} {action} {resource}"
                );
            }
        }
    }

    #[test]
    fn a_sidecar_token_gains_nothing_from_further_roles_and_no_role_is_none() {
        let access = Access::compile().unwrap();
        let mut caller = Caller {
            tenant: "acme".parse().unwrap(),
            subject: "pod".into(),
            roles: vec!["sidecar".into(), "system_admin".into()],
        };
        let create = Permission {
            action: "create",
            resource: "policy",
        };
        assert!(!access.allows(&caller, create));
        caller.roles.clear();
        let read = Permission {
            action: "read",
            resource: "bundle",
        };
        assert!(!access.allows(&caller, read));
    }
}
