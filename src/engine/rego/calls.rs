//! Every call of a module is one of a function that is there: what is not is refused before it can be undefined.

use std::collections::HashSet;

use regorus::unstable::{BUILTINS, Expr, Module, Ref, Rule, RuleHead};

use super::source;
use super::{RegoError, RegoErrorKind};

/// The functions that modules define, as paths below `data`.
#[derive(Debug, Default)]
pub(super) struct Functions(HashSet<Vec<String>>);

impl Functions {
    pub fn of(modules: &[Ref<Module>]) -> Self {
        let mut functions = HashSet::new();
        for module in modules {
            for rule in &module.policy {
                let refr = match rule.as_ref() {
                    Rule::Spec {
                        head: RuleHead::Func { refr, .. },
                        ..
                    } => refr,
                    Rule::Default { refr, args, .. } if !args.is_empty() => refr,
                    _ => continue,
                };
                let mut path = source::package(module);
                path.extend(source::static_path(refr).names);
                functions.insert(path);
            }
        }
        Self(functions)
    }

    /// Whether a call in `module` under `name` is one of a function that a module defines.
    fn defines(&self, module: &Module, name: &[String]) -> bool {
        let mut local = source::package(module);
        local.extend_from_slice(name);
        if self.0.contains(&local) {
            return true;
        }
        let Some((first, rest)) = name.split_first() else {
            return false;
        };
        if first == "data" {
            return self.0.contains(rest);
        }
        module.imports.iter().any(|import| {
            let mut target = source::data_path(&import.refr).unwrap_or_default();
            let alias = match &import.r#as {
                Some(alias) => alias.text(),
                None => target.last().map_or("", String::as_str),
            };
            let is_meant = alias == first;
            target.extend_from_slice(rest);
            is_meant && self.0.contains(&target)
        })
    }
}

/// The calls of functions that are not there.
pub(super) fn missing(module: &Module, functions: &Functions, errors: &mut Vec<RegoError>) {
    source::each_expression(module, &mut |expression| {
        let Expr::Call { fcn, .. } = expression else {
            return;
        };
        let path = source::static_path(fcn);
        let name = path.names.join(".");
        let is_there = path.whole
            && (name == "print"
                || BUILTINS.contains_key(name.as_str())
                || functions.defines(module, &path.names));
        if !is_there {
            let (kind, message) = if is_in_opa(&name) {
                let message = format!("the builtin `{name}` of OPA is not supported");
                (RegoErrorKind::Unsupported, message)
            } else {
                (RegoErrorKind::Compile, format!("undefined function {name}"))
            };
            errors.push(RegoError::new(kind, message).at(source::place(fcn.span())));
        }
    });
}

/// Whether OPA has a builtin of this name.
fn is_in_opa(name: &str) -> bool {
    table().any(|builtin| builtin.name == name)
}

/// A builtin of OPA, and how it is here.
#[derive(Clone, Copy, Debug)]
pub struct Builtin {
    pub name: &'static str,
    /// `same`, `different` or `no`.
    pub here: &'static str,
    /// What is different, or why it is not there.
    pub note: &'static str,
}

/// Every builtin of OPA.
pub fn table() -> impl Iterator<Item = Builtin> {
    include_str!("builtins.tsv").lines().skip(1).map(|line| {
        let mut cells = line.splitn(3, '\t');
        let mut cell = || cells.next().unwrap_or_default();
        Builtin {
            name: cell(),
            here: cell(),
            note: cell(),
        }
    })
}
