//! HTTP requests: the `http` rules of AccessPolicies, and what a decision changes in the request or the reply.
//!
//! Deny wins; the first allow rule that matches sets headers; no rule is a 403. A value that fails, or that holds control
//! characters, turns an allow into a denial and a denial into a plain 403.

use std::collections::BTreeSet;

use bumpalo::collections::Vec as BumpVec;

use crate::engine::input::Root;
use crate::engine::table::Table;
use crate::model::{Access, AccessReason};
use crate::policy::Effect;

use super::access::AccessRuleProgram;
use super::http_effects::{AllowEffects, DenyEffects};
use super::path_template::PathTemplate;
use super::roles::Entered;
use super::run::Run;
use super::{EvaluateError, HttpAccess, HttpRequest, Program};

/// Roots that `http` rules may name.
pub(super) const ROOTS: &[Root] = &[
    Root::Subject,
    Root::Action,
    Root::Resource,
    Root::Context,
    Root::Http,
    Root::Params,
    Root::Jwt,
    Root::Source,
    Root::Destination,
    Root::Tls,
    Root::Extensions,
    Root::Metadata,
];

/// All `http` rules.
#[derive(Debug, Default)]
pub(super) struct HttpRules {
    rules: Vec<HttpRuleProgram>,
    by_segment: Table<String, Vec<u32>>,
    any_segment: Vec<u32>,
    /// Header names that some rule can set, lower case.
    pub settable: BTreeSet<String>,
}

/// A compiled rule.
#[derive(Debug)]
pub(super) struct HttpRuleProgram {
    pub rule: AccessRuleProgram,
    pub methods: Vec<String>,
    pub hosts: Vec<String>,
    pub paths: Vec<PathTemplate>,
    pub on_allow: AllowEffects,
    pub on_deny: Option<DenyEffects>,
}

impl HttpRules {
    pub fn add(&mut self, rule: HttpRuleProgram) {
        let position = self.rules.len() as u32;
        let firsts: Option<BTreeSet<&str>> =
            rule.paths.iter().map(PathTemplate::first_literal).collect();
        match firsts {
            Some(firsts) if !firsts.is_empty() => {
                for first in firsts {
                    self.by_segment
                        .entry(first.to_owned())
                        .or_default()
                        .push(position);
                }
            }
            _ => self.any_segment.push(position),
        }
        let set = rule.on_allow.set_names().map(str::to_owned);
        self.settable.extend(set);
        self.rules.push(rule);
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl HttpRuleProgram {
    fn accepts(&self, request: &HttpRequest<'_>) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|method| method == request.method))
            && (self.hosts.is_empty() || self.hosts.iter().any(|host| host == request.host))
    }
}

/// A rule that matched, and its document.
type Matched<'a> = (&'a HttpRuleProgram, Entered<'a>);

/// The first rules that match.
struct Matches<'a> {
    allow: Option<Matched<'a>>,
    deny: Option<Matched<'a>>,
    /// The rule whose captures are `params` now.
    captured: Option<&'a HttpRuleProgram>,
}

impl Program {
    /// Decides about the request in the slots.
    pub(super) fn run_http<'a>(
        &'a self,
        run: &mut Run<'a>,
        request: &HttpRequest<'a>,
        roles: &[&'a str],
    ) -> Result<HttpAccess<'a>, EvaluateError> {
        let Matches {
            allow,
            deny,
            captured,
        } = run.http_rules(request, roles)?;
        let reason = |rule: &'a AccessRuleProgram, effect: Effect| {
            let policy = &*self.version(self.rule_document(rule.document).version).name;
            match effect {
                Effect::Allow => AccessReason::Allowed {
                    policy,
                    rule: &rule.id,
                },
                Effect::Deny => AccessReason::Denied {
                    policy,
                    rule: &rule.id,
                    reason: rule.reason.as_deref(),
                },
            }
        };
        let mut answer = HttpAccess {
            access: Access {
                allowed: false,
                reason: if self.http.is_empty() {
                    AccessReason::NoPolicy
                } else {
                    AccessReason::NoMatch
                },
                required_permissions: &[],
                missing_permissions: &[],
                errors: &[],
                variants: &[],
                considered: &[],
            },
            status: 403,
            set_headers: &[],
            append_headers: &[],
            remove_headers: &[],
            response_headers: &[],
            set_query: &[],
            remove_query: &[],
            body: None,
            metadata: &[],
        };
        if let Some((matched, document)) = deny {
            answer.access.reason = reason(&matched.rule, Effect::Deny);
            if let Some(effects) = &matched.on_deny {
                run.recapture(matched, request, captured)?;
                run.deny_effects(&document, effects, &mut answer)?;
            }
        } else if let Some((matched, document)) = allow {
            run.recapture(matched, request, captured)?;
            if run.allow_effects(&document, &matched.on_allow, request, &mut answer)? {
                answer.access.allowed = true;
                answer.status = 200;
                answer.access.reason = reason(&matched.rule, Effect::Allow);
                run.name_experiments()?;
            } else {
                // What the rule wanted to send along cannot be sent: then the request cannot be let through either.
                answer.access.reason = AccessReason::Requirement {
                    policy: &self.version(document.version).name,
                    text: "a header value of the allowing rule has no usable value",
                };
            }
        }
        let reports = run.take_reports();
        answer.access.errors = reports.errors;
        answer.access.considered = reports.considered;
        answer.access.variants = reports.variants;
        Ok(answer)
    }
}

impl<'a> Run<'a> {
    /// The first allow rule and the first deny rule that match.
    fn http_rules(
        &mut self,
        request: &HttpRequest<'a>,
        roles: &[&'a str],
    ) -> Result<Matches<'a>, EvaluateError> {
        let (mut allow, mut deny) = (None, None);
        let mut captured = None;
        let mut entered: Option<(usize, Option<Entered<'a>>)> = None;
        for position in self.http_candidates(request.path) {
            let Some(http) = self.program.http.rules.get(*position as usize) else {
                continue;
            };
            self.spend(1)?;
            let is_allow = http.rule.effect == Effect::Allow;
            if !http.accepts(request) || (is_allow && allow.is_some() && !self.context.explain) {
                continue;
            }
            if !self.captured(http, request)? {
                continue;
            }
            captured = Some(http);
            let document = match entered {
                Some((index, document)) if index == http.rule.document => document,
                _ => {
                    let document = self.open(http.rule.document)?;
                    entered = Some((http.rule.document, document));
                    document
                }
            };
            let Some(document) = document else { continue };
            if self.rule_matches(&document, &http.rule, roles)? {
                let place = if is_allow { &mut allow } else { &mut deny };
                place.get_or_insert((http, document));
                if !is_allow && !self.context.explain {
                    break;
                }
            }
        }
        Ok(Matches {
            allow,
            deny,
            captured,
        })
    }

    /// The rules whose templates can match by their first segment, in order.
    fn http_candidates(&self, path: &str) -> &'a [u32] {
        let rules = &self.program.http;
        let first = path.strip_prefix('/').unwrap_or(path);
        let first = first.split('/').next().unwrap_or_default();
        let mut found = BumpVec::new_in(self.arena);
        found.extend(rules.by_segment.get(first).into_iter().flatten());
        found.extend_from_slice(&rules.any_segment);
        found.sort_unstable();
        found.into_bump_slice()
    }

    /// Whether one of a rule's templates matches; its captures are then `params`.
    fn captured(
        &self,
        http: &'a HttpRuleProgram,
        request: &HttpRequest<'a>,
    ) -> Result<bool, EvaluateError> {
        if http.paths.is_empty() {
            self.set_params(&[]);
            return Ok(true);
        }
        self.spend(http.paths.len())?;
        let mut captures = BumpVec::new_in(self.arena);
        for template in &http.paths {
            captures.clear();
            if template.matches(request.path, |name, value| captures.push((name, value))) {
                self.set_params(captures.into_bump_slice());
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Puts the captures of the deciding rule back where another's are there, and forgets variables' values of other
    /// documents.
    fn recapture(
        &mut self,
        http: &'a HttpRuleProgram,
        request: &HttpRequest<'a>,
        captured: Option<&'a HttpRuleProgram>,
    ) -> Result<(), EvaluateError> {
        if !captured.is_some_and(|last| std::ptr::eq(last, http)) {
            self.captured(http, request)?;
        }
        self.enter(self.program.rule_document(http.rule.document).version);
        Ok(())
    }
}
