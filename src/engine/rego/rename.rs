//! Locals that regorus would take for something else of the same name, renamed.
//!
//! `some x in xs` declares `x`, whatever else is called so: regorus refuses it where a rule, an import or a local of an
//! enclosing body has that name. A new name has as many bytes as the old one: rows and columns stay what they were.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use regorus::unstable::{
    AssignOp, Expr, Literal, LiteralStmt, Module, Query, Rule, RuleAssign, RuleHead, Span,
};

use super::source;

/// What to put where.
pub(super) type Edits = Vec<(Range<usize>, String)>;

/// The renames of a module. `globals` are the names of its package's rules.
///
/// # Errors
///
/// The place of a local for which there is no other name of that length.
pub(super) fn renames(
    module: &Module,
    text: &str,
    globals: &HashSet<String>,
) -> Result<Edits, Span> {
    let mut globals = globals.clone();
    for import in &module.imports {
        let target = source::static_path(&import.refr).names;
        let alias = import.r#as.as_ref().map(|alias| alias.text().to_owned());
        globals.extend(alias.or_else(|| target.last().cloned()));
    }
    let words = text.split(|c: char| c != '_' && !c.is_ascii_alphanumeric());
    let mut taken: HashSet<String> = words.map(str::to_owned).collect();
    taken.extend(globals.iter().cloned());
    taken.extend(KEYWORDS.map(str::to_owned));
    let mut renamer = Renamer {
        globals,
        taken,
        scope: Vec::new(),
        given: HashMap::new(),
        depth: 0,
        edits: Vec::new(),
        failed: None,
    };
    for rule in &module.policy {
        renamer.given.clear();
        renamer.rule(rule);
    }
    match renamer.failed {
        None => Ok(renamer.edits),
        Some(span) => Err(span),
    }
}

const KEYWORDS: [&str; 17] = [
    "_", "as", "contains", "data", "default", "else", "every", "false", "if", "import", "in",
    "input", "not", "null", "package", "some", "true",
];

struct Renamer {
    globals: HashSet<String>,
    /// Names that no local may be given.
    taken: HashSet<String>,
    /// The locals of the bodies around, each with its new name.
    scope: Vec<(String, Option<String>)>,
    /// The new names of this rule's locals, by old name and nesting.
    given: HashMap<(String, usize), String>,
    depth: usize,
    edits: Edits,
    failed: Option<Span>,
}

impl Renamer {
    fn rule(&mut self, rule: &Rule) {
        match rule {
            Rule::Spec { head, bodies, .. } => {
                let mut shared: Vec<&Expr> = Vec::new();
                match head {
                    RuleHead::Compr { refr, assign, .. } => {
                        shared.extend(keys(refr));
                        shared.extend(assigned(assign.as_ref()));
                    }
                    RuleHead::Set { refr, key, .. } => {
                        shared.extend(keys(refr));
                        shared.extend(key.iter().map(AsRef::as_ref));
                    }
                    RuleHead::Func { args, assign, .. } => {
                        for argument in args {
                            self.declare_pattern(argument, false);
                        }
                        shared.extend(assigned(assign.as_ref()));
                    }
                }
                if bodies.is_empty() {
                    for expression in shared.drain(..) {
                        self.expression(expression);
                    }
                }
                for body in bodies {
                    shared.extend(assigned(body.assign.as_ref()));
                    self.query(&body.query, &std::mem::take(&mut shared));
                }
            }
            Rule::Default { value, .. } => self.expression(value),
        }
        self.scope.clear();
    }

    /// A body with the expressions that see its locals.
    fn query(&mut self, query: &Query, heads: &[&Expr]) {
        let outer = self.scope.len();
        self.depth += 1;
        for statement in &query.stmts {
            self.declare(statement, outer);
        }
        for statement in &query.stmts {
            self.statement(statement);
        }
        for head in heads {
            self.expression(head);
        }
        self.depth -= 1;
        self.scope.truncate(outer);
    }

    /// Notes what a statement declares.
    fn declare(&mut self, statement: &LiteralStmt, outer: usize) {
        match &statement.literal {
            Literal::SomeVars { vars, .. } => {
                for name in vars {
                    self.push(name, outer, false);
                }
            }
            Literal::SomeIn { key, value, .. } => {
                for pattern in key.iter().chain([value]) {
                    self.declare_in(pattern, outer, true);
                }
            }
            Literal::Expr { expr, .. } => {
                if let Expr::AssignExpr { op, lhs, rhs, .. } = expr.as_ref() {
                    self.declare_in(lhs, outer, false);
                    if *op == AssignOp::Eq {
                        self.declare_in(rhs, outer, false);
                    }
                }
                self.declare_indices(expr, outer);
            }
            Literal::NotExpr { .. } | Literal::Every { .. } => {}
        }
    }

    fn declare_pattern(&mut self, pattern: &Expr, is_some: bool) {
        let outer = self.scope.len();
        self.declare_in(pattern, outer, is_some);
    }

    fn declare_in(&mut self, pattern: &Expr, outer: usize, is_some: bool) {
        match pattern {
            Expr::Var { span, .. } => self.push(span, outer, is_some),
            Expr::Array { items, .. } => {
                for item in items {
                    self.declare_in(item, outer, is_some);
                }
            }
            Expr::Object { fields, .. } => {
                for (_, _, value) in fields {
                    self.declare_in(value, outer, is_some);
                }
            }
            _ => {}
        }
    }

    /// `xs[i]` declares `i` where nothing else does.
    fn declare_indices(&mut self, expression: &Expr, outer: usize) {
        match expression {
            Expr::RefDot { refr, .. } => self.declare_indices(refr, outer),
            Expr::RefBrack { refr, index, .. } => {
                self.declare_indices(refr, outer);
                if let Expr::Var { span, .. } = index.as_ref()
                    && !self.globals.contains(span.text())
                    && self.meaning(span.text()).is_none()
                {
                    self.push(span, outer, false);
                }
            }
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. }
            | Expr::AssignExpr { lhs, rhs, .. } => {
                self.declare_indices(lhs, outer);
                self.declare_indices(rhs, outer);
            }
            Expr::Call { params, .. } => {
                for parameter in params {
                    self.declare_indices(parameter, outer);
                }
            }
            _ => {}
        }
    }

    fn push(&mut self, name: &Span, outer: usize, is_some: bool) {
        let text = name.text();
        let own = self.scope.get(outer..).unwrap_or_default();
        if matches!(text, "_" | "input" | "data") || own.iter().any(|(other, _)| other == text) {
            return;
        }
        let around = self.scope.get(..outer).unwrap_or_default();
        let hides = self.globals.contains(text) || around.iter().any(|(other, _)| other == text);
        let new = (is_some && hides).then(|| self.fresh(name));
        self.scope.push((text.to_owned(), new));
    }

    /// Another name of the same length.
    fn fresh(&mut self, name: &Span) -> String {
        let key = (name.text().to_owned(), self.depth);
        if let Some(given) = self.given.get(&key) {
            return given.clone();
        }
        const FIRST: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let old = name.text();
        let positions = (0..old.len()).rev();
        let candidates = positions.flat_map(|position| {
            FIRST.iter().filter_map(move |letter| {
                let mut bytes = old.as_bytes().to_vec();
                *bytes.get_mut(position)? = *letter;
                String::from_utf8(bytes).ok()
            })
        });
        let found = candidates.into_iter().find(|one| !self.taken.contains(one));
        let Some(new) = found else {
            self.failed.get_or_insert_with(|| name.clone());
            return old.to_owned();
        };
        self.taken.insert(new.clone());
        self.given.insert(key, new.clone());
        new
    }

    /// The new name, if any, of the local that a name means; None where it means none.
    fn meaning(&self, name: &str) -> Option<&Option<String>> {
        let found = self.scope.iter().rev().find(|(other, _)| other == name);
        found.map(|(_, new)| new)
    }

    fn statement(&mut self, statement: &LiteralStmt) {
        match &statement.literal {
            Literal::SomeVars { .. } => {}
            Literal::SomeIn {
                key,
                value,
                collection,
                ..
            } => {
                for part in key.iter().chain([value, collection]) {
                    self.expression(part);
                }
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expression(expr),
            Literal::Every {
                key,
                value,
                domain,
                query,
                ..
            } => {
                self.expression(domain);
                let outer = self.scope.len();
                for name in key.iter().chain([value]) {
                    self.push(name, outer, false);
                }
                self.query(query, &[]);
                self.scope.truncate(outer);
            }
        }
        for modifier in &statement.with_mods {
            self.expression(&modifier.r#as);
        }
    }

    fn expression(&mut self, outer: &Expr) {
        match outer {
            Expr::Var { span, .. } => {
                if let Some(Some(new)) = self.meaning(span.text()) {
                    let edit = (span.start as usize..span.end as usize, new.clone());
                    self.edits.push(edit);
                }
            }
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.query(query, &[term.as_ref()]);
            }
            Expr::ObjectCompr {
                key, value, query, ..
            } => self.query(query, &[key.as_ref(), value.as_ref()]),
            other => source::each_child(other, &mut |child| self.expression(child)),
        }
    }
}

/// What is computed in the head of a rule.
fn keys(head: &Expr) -> Vec<&Expr> {
    match head {
        Expr::RefDot { refr, .. } => keys(refr),
        Expr::RefBrack { refr, index, .. } => {
            let mut found = keys(refr);
            found.push(index);
            found
        }
        _ => Vec::new(),
    }
}

fn assigned(assign: Option<&RuleAssign>) -> Option<&Expr> {
    assign.map(|assign| assign.value.as_ref())
}
