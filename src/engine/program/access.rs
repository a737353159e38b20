//! Access decisions: rules of AccessPolicies found by resource type and action; deny wins, nothing matching denies.

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;

use crate::engine::input::Root;
use crate::engine::table::Table;
use crate::model::{Access, AccessReason};
use crate::policy::Effect;

use super::access_control::{Caller, Verdict};
use super::access_request::Asked;
use super::roles::{DerivedRoles, Entered, RoleNeed};
use super::run::{Outcome, Reports, Run};
use super::version::{Condition, VersionId};
use super::{EvaluateError, Program};

/// Roots that rules of an AccessPolicy may name.
pub(super) const ROOTS: &[Root] = &[
    Root::Input,
    Root::Subject,
    Root::Action,
    Root::Resource,
    Root::Context,
    Root::Jwt,
    Root::Source,
];

/// All access rules.
#[derive(Debug, Default)]
pub(super) struct AccessRules {
    pub documents: Vec<AccessDocument>,
    rules: Vec<AccessRuleProgram>,
    by_type: Table<Box<str>, ByAction>,
    any_type: ByAction,
}

/// What the rules of one document share, those for HTTP requests included.
#[derive(Debug)]
pub(super) struct AccessDocument {
    pub version: VersionId,
    pub derived: DerivedRoles,
}

/// A compiled rule.
#[derive(Debug)]
pub(super) struct AccessRuleProgram {
    /// Index of its document.
    pub document: usize,
    pub id: String,
    pub place: String,
    pub effect: Effect,
    pub roles: RoleNeed,
    pub condition: Option<Condition>,
    pub reason: Option<String>,
}

#[derive(Debug, Default)]
struct ByAction {
    actions: Table<Box<str>, Vec<u32>>,
    any: Vec<u32>,
}

impl AccessRules {
    /// Adds the next rule for these resource types and actions (`*` = any).
    pub fn add(&mut self, rule: AccessRuleProgram, resources: &[String], actions: &[String]) {
        let position = self.rules.len() as u32;
        self.rules.push(rule);
        if resources.iter().any(|resource| resource == "*") {
            self.any_type.add(position, actions);
            return;
        }
        for resource in resources {
            let by_action = self.by_type.entry(resource.as_str().into()).or_default();
            by_action.add(position, actions);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether any rule names an action.
    pub fn names_actions(&self) -> bool {
        let any = self.by_type.values().chain([&self.any_type]);
        any.into_iter().any(|of_type| !of_type.actions.is_empty())
    }

    /// The actions that rules about a resource type name, in no order; one may come twice.
    pub fn actions<'a>(&'a self, kind: &str) -> impl Iterator<Item = &'a str> {
        let of_type = self.by_type.get(kind).into_iter().chain([&self.any_type]);
        of_type.flat_map(|of_type| of_type.actions.keys().map(|action| &**action))
    }

    /// The rules for a resource type and an action, in order.
    fn candidates<'a>(&'a self, kind: &str, action: &str, arena: &'a Bump) -> &'a [u32] {
        let of_type = self.by_type.get(kind);
        let any_action = of_type.map_or(&[][..], |of_type| &of_type.any);
        let lists = [
            any_action,
            of_type.map_or(&[][..], |of_type| of_type.of(action)),
            &self.any_type.any,
            self.any_type.of(action),
        ];
        let mut there = lists.into_iter().filter(|list| !list.is_empty());
        let Some(first) = there.next() else {
            return &[];
        };
        if there.next().is_none() {
            return first;
        }
        let mut found = BumpVec::with_capacity_in(lists.iter().map(|list| list.len()).sum(), arena);
        for list in lists {
            found.extend_from_slice(list);
        }
        // Not longer than what can apply.
        found.sort_unstable();
        found.into_bump_slice()
    }
}

impl ByAction {
    fn add(&mut self, position: u32, actions: &[String]) {
        // A resource type may be written twice, and so may an action.
        let push = |list: &mut Vec<u32>| {
            if list.last() != Some(&position) {
                list.push(position);
            }
        };
        if actions.is_empty() || actions.iter().any(|action| action == "*") {
            push(&mut self.any);
            return;
        }
        for action in actions {
            push(self.actions.entry(action.as_str().into()).or_default());
        }
    }

    /// The rules that name an action, in order.
    fn of(&self, action: &str) -> &[u32] {
        self.actions.get(action).map_or(&[], Vec::as_slice)
    }
}

/// What the rules say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ruling<'a> {
    pub allow: Option<&'a AccessRuleProgram>,
    pub deny: Option<&'a AccessRuleProgram>,
}

impl Program {
    /// Decides access for what was asked, which is in its slots.
    pub(super) fn run_access<'a>(
        &'a self,
        run: &mut Run<'a>,
        asked: &Asked<'a>,
    ) -> Result<Access<'a>, EvaluateError> {
        let (ruling, ruled) = run.access_rules(asked)?;
        let caller = Caller {
            id: asked.subject_id,
            roles: asked.service_roles,
            address: asked.address,
        };
        let Verdict {
            asked: controlled,
            denied,
            required,
            missing,
        } = run.access_control(&caller)?;
        let (allowed, reason) = match (denied, ruling) {
            (Some(denial), _) => (false, denial.reason),
            (
                None,
                Ruling {
                    deny: Some(rule), ..
                },
            ) => (false, self.denied(rule)),
            (
                None,
                Ruling {
                    allow: Some(rule), ..
                },
            ) => (true, self.allowed(rule)),
            (None, _) if ruled => (false, AccessReason::NoMatch),
            (None, _) if controlled => (true, self.permitted(run)),
            (None, _) => (false, AccessReason::NoPolicy),
        };
        let Reports {
            errors,
            considered,
            variants,
        } = run.take_reports();
        Ok(Access {
            allowed,
            reason,
            required_permissions: required.into_bump_slice(),
            missing_permissions: missing.into_bump_slice(),
            errors,
            considered,
            variants,
        })
    }

    /// Only service policies are loaded, and none denied: the last one asked let it pass.
    fn permitted(&self, run: &Run<'_>) -> AccessReason<'_> {
        let decided = |version: &VersionId| run.only.is_none_or(|only| only == *version);
        let policy = self
            .access_controls
            .iter()
            .map(|policy| policy.version)
            .rfind(decided)
            .map_or("", |version| &*self.version(version).name);
        AccessReason::Allowed {
            policy,
            rule: "spec.rule",
        }
    }

    pub(super) fn rule_document(&self, document: usize) -> &AccessDocument {
        &self.access.documents[document]
    }

    fn allowed<'a>(&'a self, rule: &'a AccessRuleProgram) -> AccessReason<'a> {
        AccessReason::Allowed {
            policy: &self.version(self.rule_document(rule.document).version).name,
            rule: &rule.id,
        }
    }

    fn denied<'a>(&'a self, rule: &'a AccessRuleProgram) -> AccessReason<'a> {
        AccessReason::Denied {
            policy: &self.version(self.rule_document(rule.document).version).name,
            rule: &rule.id,
            reason: rule.reason.as_deref(),
        }
    }
}

impl<'a> Run<'a> {
    /// The first allow and the first deny that match, and whether any rule could have been asked at all.
    fn access_rules(&mut self, asked: &Asked<'a>) -> Result<(Ruling<'a>, bool), EvaluateError> {
        let rules = &self.program.access;
        let mut ruling = Ruling::default();
        let mut entered: Option<(usize, Option<Entered<'a>>)> = None;
        for position in rules.candidates(asked.resource_type, asked.action, self.arena) {
            let Some(rule) = rules.rules.get(*position as usize) else {
                continue;
            };
            self.spend(1)?;
            if !self.context.explain && rule.effect == Effect::Allow && ruling.allow.is_some() {
                continue;
            }
            let document = match entered {
                Some((index, document)) if index == rule.document => document,
                _ => {
                    let document = self.open(rule.document)?;
                    entered = Some((rule.document, document));
                    document
                }
            };
            let Some(document) = document else { continue };
            if self.rule_matches(&document, rule, asked.roles)? {
                match rule.effect {
                    Effect::Allow => ruling.allow.get_or_insert(rule),
                    Effect::Deny => ruling.deny.get_or_insert(rule),
                };
                if rule.effect == Effect::Deny && !self.context.explain {
                    break;
                }
            }
        }
        Ok((ruling, self.has_rules()))
    }

    /// Whether rules decide at all: in a document's own tests, only its own.
    fn has_rules(&self) -> bool {
        let access = &self.program.access;
        match self.only {
            None => !access.is_empty(),
            Some(only) => access
                .rules
                .iter()
                .any(|rule| self.program.rule_document(rule.document).version == only),
        }
    }

    /// Enters a document, unless another version of its policy decides.
    pub fn open(&mut self, document: usize) -> Result<Option<Entered<'a>>, EvaluateError> {
        let AccessDocument { version, derived } = self.program.rule_document(document);
        if !self.decides(*version)? {
            return Ok(None);
        }
        self.name_variant(*version)?;
        Ok(Some(self.enter_roles(*version, derived)))
    }

    /// Whether a rule's roles and condition hold, errors counting against the subject.
    pub fn rule_matches(
        &mut self,
        document: &Entered<'a>,
        rule: &'a AccessRuleProgram,
        roles: &[&str],
    ) -> Result<bool, EvaluateError> {
        let policy = self.version(document.version);
        if !self.has_role(document, &rule.roles, rule.effect, roles)? {
            self.consider_text(
                policy,
                &rule.place,
                false,
                ("roles", "none of them is held"),
            );
            return Ok(false);
        }
        let Some(condition) = &rule.condition else {
            self.consider(policy, &rule.place, true, None);
            return Ok(true);
        };
        let outcome = self.holds(policy, condition)?;
        let matched = match outcome {
            Outcome::Value(holds) => holds,
            Outcome::Failed(_) => rule.effect == Effect::Deny,
        };
        self.consider(policy, &rule.place, matched, Some((condition, outcome)));
        Ok(matched)
    }
}
