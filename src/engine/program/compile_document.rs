//! Compiling one document into the parts of a program.

use crate::engine::expression::Variables;
use crate::engine::input::Root;
use crate::policy::{
    AccessPolicy, Body, Document, HttpRule, Named, OnAllow, OnDeny, Rule, ServicePolicy, Text,
    ValidationPolicy, ValidationRule,
};

use super::access::{self, AccessDocument, AccessRuleProgram};
use super::access_control::AccessControlProgram;
use super::compile::Build;
use super::consumption::ConsumptionProgram;
use super::http::{self, HttpRuleProgram};
use super::http_effects::{AllowEffects, DenyEffects, Values};
use super::path_template::PathTemplate;
use super::roles::{DerivedRoles, RoleNeed};
use super::service::{Service, ServiceSlots};
use super::validation::{self, Checks, ValidationProgram, unguarded};
use super::version::{Gate, VersionId};

impl Build {
    /// Compiles a version that can decide; `active` where it is the active one of its policy.
    pub fn document(&mut self, document: &Document, gate: Gate, active: bool) {
        match &document.body {
            Body::Validation(policy) => self.validation(document, policy, gate, active),
            Body::Service(policy) if policy.enabled => self.service(document, policy, gate, active),
            Body::Access(policy) => self.access(document, policy, gate),
            // Experiments are compiled before everything else, and the others decide nothing.
            Body::Service(_) | Body::Experiment(_) | Body::Rego(_) | Body::Opaque => {}
        }
    }

    fn validation(
        &mut self,
        document: &Document,
        policy: &ValidationPolicy,
        gate: Gate,
        active: bool,
    ) {
        let roots = validation::ROOTS;
        self.program.layout.forget_asked();
        let variables = self.variables(&policy.variables, roots);
        let mut matches = Vec::new();
        for text in &policy.matches {
            let Some(condition) = self.condition(text, roots, &variables) else {
                continue;
            };
            if unguarded(&condition) {
                self.warn(
                    &text.place,
                    "a request without the field fails this policy; guard it with `has()` where that is not meant",
                );
            }
            matches.push(condition);
        }
        let rules = policy
            .validations
            .iter()
            .filter_map(|rule| self.rule(rule, &variables))
            .collect();
        let version = self.version(document, gate, variables);
        let program = &mut self.program.validations;
        program.policies += u32::from(active);
        program.read_claims |= self.program.layout.is_asked(Root::Jwt);
        program.add(ValidationProgram::new(
            (version, gate),
            policy.severity,
            matches,
            Checks::Rules(rules),
        ));
        self.tests(document, version);
    }

    fn rule(&mut self, rule: &ValidationRule, variables: &Variables) -> Option<validation::Rule> {
        let condition = self.condition(&rule.expression, validation::ROOTS, variables);
        let actual = self.optional(rule.actual.as_ref(), validation::ROOTS, variables);
        Some(validation::Rule {
            condition: condition?,
            field: rule.field.clone(),
            message: rule.message.clone(),
            remediation: rule.remediation.clone(),
            expected: rule.expected.clone(),
            actual: actual?,
        })
    }

    /// None where there is an expression and it does not compile.
    #[expect(clippy::option_option, reason = "absent and broken are different")]
    fn optional(
        &mut self,
        text: Option<&Text>,
        roots: &[Root],
        variables: &Variables,
    ) -> Option<Option<super::version::Condition>> {
        match text {
            None => Some(None),
            Some(text) => self.condition(text, roots, variables).map(Some),
        }
    }

    fn service(&mut self, document: &Document, policy: &ServicePolicy, gate: Gate, active: bool) {
        let version = self.version(document, gate, Variables::default());
        if let Some(Rule::AccessControl(rule)) = &policy.rule {
            match AccessControlProgram::new(version, policy.severity, rule) {
                Ok(program) => self.program.access_controls.push(program),
                Err(message) => self.error(&policy.place, message),
            }
        } else {
            match ConsumptionProgram::new(version, policy) {
                Ok(program) => self.program.consumption.extend(program),
                Err(message) => self.error(&policy.place, message),
            }
            let layout = &mut self.program.layout;
            let validations = &mut self.program.validations;
            validations.service_slots(|| ServiceSlots::new(layout));
            validations.policies += u32::from(active);
            match Service::new(policy) {
                Ok(service) => self.program.validations.add(ValidationProgram::new(
                    (version, gate),
                    policy.severity,
                    Vec::new(),
                    Checks::Service(Box::new(service)),
                )),
                Err(message) => self.error(&policy.place, message),
            }
        }
        self.tests(document, version);
    }

    fn access(&mut self, document: &Document, policy: &AccessPolicy, gate: Gate) {
        let spec = &policy.spec;
        // Variables and derived roles serve both kinds of rules; the captures of a path are a rule's own.
        let shared: Vec<Root> = access::ROOTS
            .iter()
            .chain(http::ROOTS)
            .copied()
            .filter(|root| *root != Root::Params)
            .collect();
        let variables = self.variables(&spec.variables, &shared);
        let mut derived = DerivedRoles::default();
        for role in &spec.roles {
            if let Some(condition) = self.condition(&role.expression, &shared, &variables) {
                derived.names.push(role.name.clone());
                derived.conditions.push(condition);
            }
        }
        let index = self.program.access.documents.len();
        for (position, rule) in spec.rules.iter().enumerate() {
            let condition = self.optional(rule.condition.as_ref(), access::ROOTS, &variables);
            let Some(condition) = condition else { continue };
            let program = AccessRuleProgram {
                document: index,
                id: rule.id.clone(),
                place: format!("spec.rules[{position}]"),
                effect: rule.effect,
                roles: RoleNeed::new(&rule.roles, &derived),
                condition,
                reason: rule.reason.clone(),
            };
            self.program
                .access
                .add(program, &spec.resources, &rule.actions);
        }
        for (position, rule) in policy.http.iter().enumerate() {
            let place = format!("spec.http[{position}]");
            if let Some(program) = self.http_rule(rule, (index, place), &derived, &variables) {
                self.program.http.add(program);
            }
        }
        let version = self.version(document, gate, variables);
        self.program
            .access
            .documents
            .push(AccessDocument { version, derived });
        self.tests(document, version);
    }

    fn http_rule(
        &mut self,
        rule: &HttpRule,
        (document, place): (usize, String),
        derived: &DerivedRoles,
        variables: &Variables,
    ) -> Option<HttpRuleProgram> {
        let mut paths = Vec::with_capacity(rule.paths.len());
        for path in &rule.paths {
            match PathTemplate::parse(&path.value) {
                Ok(template) => paths.push(template),
                Err(message) => self.error(&path.place, message),
            }
        }
        let condition = self.optional(rule.condition.as_ref(), http::ROOTS, variables);
        let on_allow = rule
            .on_allow
            .as_ref()
            .map_or_else(AllowEffects::default, |effects| {
                self.on_allow(effects, variables)
            });
        let on_deny = rule
            .on_deny
            .as_ref()
            .map(|effects| self.on_deny(effects, variables));
        Some(HttpRuleProgram {
            rule: AccessRuleProgram {
                document,
                id: rule.id.clone(),
                place,
                effect: rule.effect,
                roles: RoleNeed::new(&rule.roles, derived),
                condition: condition?,
                reason: rule.reason.clone(),
            },
            methods: rule
                .methods
                .iter()
                .map(|name| name.to_ascii_uppercase())
                .collect(),
            hosts: rule
                .hosts
                .iter()
                .map(|name| name.to_ascii_lowercase())
                .collect(),
            paths,
            on_allow,
            on_deny,
        })
    }

    fn on_allow(&mut self, effects: &OnAllow, variables: &Variables) -> AllowEffects {
        AllowEffects {
            set_headers: self.values(&effects.set_headers, Names::Headers, variables),
            append_headers: self.values(&effects.append_headers, Names::Headers, variables),
            remove_headers: lower(&effects.remove_headers),
            response_headers: self.values(&effects.set_response_headers, Names::Headers, variables),
            set_query: self.values(&effects.set_query, Names::AsWritten, variables),
            remove_query: effects.remove_query.clone(),
            metadata: self.values(&effects.metadata, Names::AsWritten, variables),
        }
    }

    fn on_deny(&mut self, effects: &OnDeny, variables: &Variables) -> DenyEffects {
        DenyEffects {
            status: effects.status,
            headers: self.values(&effects.headers, Names::Headers, variables),
            body: effects
                .body
                .as_ref()
                .and_then(|body| self.condition(body, http::ROOTS, variables)),
            metadata: self.values(&effects.metadata, Names::AsWritten, variables),
        }
    }

    fn values(&mut self, values: &[Named], names: Names, variables: &Variables) -> Values {
        let mut compiled = Vec::with_capacity(values.len());
        for value in values {
            let name = match names {
                Names::Headers => value.name.to_ascii_lowercase(),
                Names::AsWritten => value.name.clone(),
            };
            if let Some(condition) = self.condition(&value.expression, http::ROOTS, variables) {
                compiled.push((name, condition));
            }
        }
        compiled
    }

    /// Keeps a document's own tests.
    pub fn tests(&mut self, document: &Document, version: VersionId) {
        self.program.tests.add(document, version);
    }
}

/// How names are compared.
#[derive(Clone, Copy, Debug)]
enum Names {
    /// Without regard to case.
    Headers,
    AsWritten,
}

fn lower(names: &[String]) -> Vec<String> {
    names.iter().map(|name| name.to_ascii_lowercase()).collect()
}
