//! From the syntax tree to nodes: names resolved, paths made slots, constants computed.

use bumpalo::Bump;
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators};

use crate::engine::data::Data;
use crate::engine::input::{Layout, Root, Slots};
use crate::model::Timestamp;

use super::evaluate::Machine;
use super::function::{Function, NAMESPACES};
use super::literal::Literal;
use super::node::{Comparison, Item, Node, Operator, Pair};
use super::set::Set;
use super::{Frame, Variables, pattern};

/// Depth of an expression's tree, and of what its variables add to it.
pub(super) const MAX_DEPTH: usize = 200;
/// Steps that computing one constant may take.
const CONSTANT_STEPS: u64 = 20_000;

/// What is wrong, at which node of the syntax tree.
#[derive(Debug)]
pub(super) struct Problem {
    pub id: u64,
    pub message: String,
}

pub(super) type Compiled = Result<Node, Problem>;

/// One expression being compiled.
pub(super) struct Compiler<'c> {
    /// Request variables by name.
    pub roots: &'c [(&'c str, Root)],
    pub variables: &'c Variables,
    pub layout: &'c mut Layout,
    /// None where there is no data document to speak of.
    pub data: Option<&'c Data>,
    /// Loop and bound variables in scope; their index is their place.
    pub locals: Vec<String>,
    pub most_locals: usize,
    pub depth: usize,
    /// The deepest point of the tree, variables included.
    pub deepest: usize,
}

pub(super) fn problem(at: &IdedExpr, message: impl Into<String>) -> Problem {
    Problem {
        id: at.id,
        message: message.into(),
    }
}

/// A path of the request, as it stands in the syntax tree.
pub(super) struct RequestPath<'e> {
    pub root: Root,
    pub names: Vec<&'e str>,
    /// How many of the names are selected without `?`.
    pub plain: usize,
}

impl Compiler<'_> {
    pub fn compile(&mut self, expr: &IdedExpr) -> Compiled {
        self.depth += 1;
        self.reach(expr, self.depth)?;
        let node = self.compile_kind(expr)?;
        self.depth -= 1;
        Ok(fold(node))
    }

    /// Notes that the tree is `depth` deep.
    fn reach(&mut self, expr: &IdedExpr, depth: usize) -> Result<(), Problem> {
        self.deepest = self.deepest.max(depth);
        if self.deepest > MAX_DEPTH {
            return Err(problem(
                expr,
                format!("nested more than {MAX_DEPTH} deep, variables included"),
            ));
        }
        Ok(())
    }

    fn compile_kind(&mut self, expr: &IdedExpr) -> Compiled {
        if let Some(node) = self.path(expr) {
            return Ok(node);
        }
        match &expr.expr {
            Expr::Literal(literal) => Ok(Node::Literal(constant(literal))),
            Expr::Ident(name) => self.name(expr, name),
            Expr::Select(select) => self.select(expr, select),
            Expr::Call(call) => self.call(expr, call),
            Expr::Comprehension(inner) => self.standard_macro(expr, inner),
            Expr::List(list) => {
                let mut items = Vec::with_capacity(list.elements.len());
                for (index, element) in list.elements.iter().enumerate() {
                    items.push(Item {
                        node: self.compile(element)?,
                        optional: list.optional_indices.contains(&index),
                    });
                }
                Ok(Node::List(items.into()))
            }
            Expr::Map(map) => {
                let mut pairs = Vec::with_capacity(map.entries.len());
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else {
                        return Err(problem(expr, "not a map"));
                    };
                    pairs.push(Pair {
                        key: self.compile(&entry.key)?,
                        value: self.compile(&entry.value)?,
                        optional: entry.optional,
                    });
                }
                Ok(Node::Map(pairs.into()))
            }
            Expr::Struct(message) => Err(problem(
                expr,
                format!(
                    "`{}`: protobuf messages are not part of this language; write a map",
                    message.type_name
                ),
            )),
            Expr::Unspecified => Err(problem(expr, "the expression is empty")),
        }
    }

    pub fn local(&self, name: &str) -> Option<usize> {
        self.locals.iter().rposition(|local| local == name)
    }

    fn root(&self, name: &str) -> Option<Root> {
        let bare = name.strip_prefix('.');
        if bare.is_none() && self.local(name).is_some() {
            return None;
        }
        let name = bare.unwrap_or(name);
        self.roots
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, root)| *root)
    }

    fn name(&self, expr: &IdedExpr, name: &str) -> Compiled {
        let bare = name.strip_prefix('.');
        if bare.is_none()
            && let Some(index) = self.local(name)
        {
            return Ok(Node::Local(index));
        }
        let name = bare.unwrap_or(name);
        if let ("data", Some(data)) = (name, self.data) {
            let root = data.find(&[]);
            return Ok(root.map_or(Node::Literal(Literal::Map([].into())), Node::Data));
        }
        match name {
            "now" => Ok(Node::Now),
            "vars" => Err(problem(expr, "`vars` is used as `vars.NAME`")),
            "bool" | "int" | "uint" | "double" | "string" | "bytes" | "list" | "map"
            | "null_type" | "type" | "optional_type" => {
                Ok(Node::Literal(Literal::Type(name.into())))
            }
            _ => Err(problem(expr, self.unknown(name))),
        }
    }

    fn unknown(&self, name: &str) -> String {
        let mut known: Vec<&str> = self.roots.iter().map(|(name, _)| *name).collect();
        if self.data.is_some() {
            known.push("data");
        }
        known.extend(["now", "vars"]);
        let elsewhere = Root::ALL.iter().any(|root| root.name() == name);
        format!(
            "`{name}` {}; known are {}",
            if elsewhere {
                "does not exist here"
            } else {
                "is no variable"
            },
            known
                .iter()
                .map(|name| format!("`{name}`"))
                .collect::<Vec<_>>()
                .join(", ")
        )
    }

    /// The path of the request that `expr` is, if it is one.
    pub fn request_path<'e>(&self, expr: &'e IdedExpr) -> Option<RequestPath<'e>> {
        match &expr.expr {
            Expr::Ident(name) => self.root(name).map(|root| RequestPath {
                root,
                names: Vec::new(),
                plain: 0,
            }),
            Expr::Select(select) if !select.test => Some(
                self.request_path(&select.operand)?
                    .then(&select.field, false),
            ),
            Expr::Call(CallExpr {
                func_name,
                target: None,
                args,
            }) => {
                let [operand, index] = args.as_slice() else {
                    return None;
                };
                let optional = match func_name.as_str() {
                    operators::INDEX => false,
                    operators::OPT_SELECT | operators::OPT_INDEX => true,
                    _ => return None,
                };
                let Expr::Literal(LiteralValue::String(name)) = &index.expr else {
                    return None;
                };
                Some(self.request_path(operand)?.then(name.inner(), optional))
            }
            _ => None,
        }
    }

    /// A path of the request as a slot; None for anything else.
    fn path(&mut self, expr: &IdedExpr) -> Option<Node> {
        let (inner, has) = match &expr.expr {
            Expr::Select(select) if select.test => (&*select.operand, Some(select.field.as_str())),
            _ => (expr, None),
        };
        let mut path = self.request_path(inner)?;
        if let Some(name) = has {
            if path.plain < path.names.len() {
                return None;
            }
            path = path.then(name, false);
        }
        let missing = format!("no such key: {}", path.text()).into();
        let names = path.names.as_slice();
        if let Some((_, parents)) = names.split_last().filter(|_| has.is_some()) {
            return Some(Node::HasSlot {
                parent: self.layout.presence(path.root, parents),
                slot: self.layout.presence(path.root, names),
                missing,
            });
        }
        let slot = self.layout.slot(path.root, names);
        if path.plain == names.len() {
            return Some(Node::Slot { slot, missing });
        }
        let (plain, _) = names.split_at(path.plain);
        Some(Node::OptionalSlot {
            base: self.layout.presence(path.root, plain),
            path: (path.plain..names.len())
                .map(|last| {
                    let names = names.get(..=last).unwrap_or_default();
                    self.layout.presence(path.root, names)
                })
                .collect(),
            missing,
        })
    }

    fn select(&mut self, expr: &IdedExpr, select: &SelectExpr) -> Compiled {
        if let Some(node) = self.special_select(expr, select)? {
            return Ok(node);
        }
        let operand = self.compile(&select.operand)?;
        if select.test {
            return Ok(Node::HasMember(
                Box::new(operand),
                select.field.as_str().into(),
            ));
        }
        Ok(self.member(operand, &select.field))
    }

    /// `operand.name`, found now where the operand is a place in the data document.
    fn member(&self, operand: Node, name: &str) -> Node {
        if let Node::Data(node) = operand
            && let Some(found) = self.data.and_then(|data| data.member(node, name))
        {
            return Node::Data(found);
        }
        Node::Select(Box::new(operand), name.into())
    }

    /// `vars.NAME` and the qualified names of types.
    fn special_select(
        &mut self,
        expr: &IdedExpr,
        select: &SelectExpr,
    ) -> Result<Option<Node>, Problem> {
        match &select.operand.expr {
            Expr::Ident(name) if name == "vars" && self.local(name).is_none() => {
                let index = self.variables.index(&select.field).ok_or_else(|| {
                    problem(
                        expr,
                        format!(
                            "`vars.{}` is not defined (before this expression)",
                            select.field
                        ),
                    )
                })?;
                let depth = self.variables.depth(index);
                self.reach(expr, self.depth + depth)?;
                Ok(Some(if select.test {
                    Node::Literal(Literal::Bool(true))
                } else {
                    Node::Variable(index)
                }))
            }
            Expr::Select(outer) if !outer.test && !select.test && outer.field == "protobuf" => {
                let Expr::Ident(root) = &outer.operand.expr else {
                    return Ok(None);
                };
                let is_type = matches!(select.field.as_str(), "Timestamp" | "Duration");
                if root.trim_start_matches('.') != "google"
                    || !is_type
                    || self.local(root).is_some()
                {
                    return Ok(None);
                }
                Ok(Some(Node::Literal(Literal::Type(
                    format!("google.protobuf.{}", select.field).into(),
                ))))
            }
            _ => Ok(None),
        }
    }

    fn pair(&mut self, args: &[IdedExpr]) -> Result<Box<[Node; 2]>, Problem> {
        match args {
            [left, right] => Ok(Box::new([self.compile(left)?, self.compile(right)?])),
            _ => Err(Problem {
                id: args.first().map_or(0, |first| first.id),
                message: "an operator takes two operands".into(),
            }),
        }
    }

    fn junction(
        &mut self,
        name: &str,
        args: &[IdedExpr],
        out: &mut Vec<Node>,
    ) -> Result<(), Problem> {
        for arg in args {
            match &arg.expr {
                Expr::Call(call) if call.func_name == name && call.target.is_none() => {
                    self.junction(name, &call.args, out)?;
                }
                _ => out.push(self.compile(arg)?),
            }
        }
        Ok(())
    }

    fn operator(&mut self, call: &CallExpr) -> Result<Option<Node>, Problem> {
        let args = call.args.as_slice();
        let node = match call.func_name.as_str() {
            name @ (operators::LOGICAL_AND | operators::LOGICAL_OR) => {
                let mut items = Vec::new();
                self.junction(name, args, &mut items)?;
                if name == operators::LOGICAL_AND {
                    Node::And(items.into())
                } else {
                    Node::Or(items.into())
                }
            }
            operators::CONDITIONAL => match args {
                [condition, yes, no] => Node::Conditional(Box::new([
                    self.compile(condition)?,
                    self.compile(yes)?,
                    self.compile(no)?,
                ])),
                _ => return Ok(None),
            },
            operators::LOGICAL_NOT | operators::NEGATE => match args {
                [operand] => {
                    let operand = Box::new(self.compile(operand)?);
                    if call.func_name == operators::NEGATE {
                        Node::Negate(operand)
                    } else {
                        Node::Not(operand)
                    }
                }
                _ => return Ok(None),
            },
            operators::EQUALS => Node::Equal(self.pair(args)?),
            operators::NOT_EQUALS => Node::NotEqual(self.pair(args)?),
            operators::LESS => Node::Compare(Comparison::Less, self.pair(args)?),
            operators::LESS_EQUALS => Node::Compare(Comparison::LessOrEqual, self.pair(args)?),
            operators::GREATER => Node::Compare(Comparison::Greater, self.pair(args)?),
            operators::GREATER_EQUALS => {
                Node::Compare(Comparison::GreaterOrEqual, self.pair(args)?)
            }
            operators::ADD => Node::Arithmetic(Operator::Add, self.pair(args)?),
            operators::SUBSTRACT => Node::Arithmetic(Operator::Subtract, self.pair(args)?),
            operators::MULTIPLY => Node::Arithmetic(Operator::Multiply, self.pair(args)?),
            operators::DIVIDE => Node::Arithmetic(Operator::Divide, self.pair(args)?),
            operators::MODULO => Node::Arithmetic(Operator::Modulo, self.pair(args)?),
            operators::IN => in_list(self.pair(args)?),
            operators::INDEX => {
                let pair = self.pair(args)?;
                match *pair {
                    [
                        operand @ Node::Data(_),
                        Node::Literal(Literal::String(name)),
                    ] => self.member(operand, &name),
                    pair => Node::Index(Box::new(pair)),
                }
            }
            operators::OPT_INDEX => Node::OptionalIndex(self.pair(args)?),
            operators::OPT_SELECT => match *self.pair(args)? {
                [operand, Node::Literal(Literal::String(name))] => {
                    Node::OptionalSelect(Box::new(operand), name)
                }
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        Ok(Some(node))
    }

    fn call(&mut self, expr: &IdedExpr, call: &CallExpr) -> Compiled {
        if call.target.is_none()
            && let Some(node) = self.operator(call)?
        {
            return Ok(node);
        }
        if let Some(node) = self.own_macro(expr, call)? {
            return Ok(node);
        }
        let mut name = call.func_name.trim_start_matches('.').to_owned();
        let mut receiver = None;
        if let Some(target) = call.target.as_deref() {
            match self.namespace(target) {
                Some(namespace) => name = format!("{namespace}.{name}"),
                None => receiver = Some(target),
            }
        }
        let count = call.args.len() + usize::from(receiver.is_some());
        let function = Function::find(&name, receiver.is_some(), count)
            .map_err(|message| problem(expr, message))?;
        let mut arguments = Vec::with_capacity(count);
        for argument in receiver.into_iter().chain(&call.args) {
            arguments.push(self.compile(argument)?);
        }
        finish_call(expr, function, arguments)
    }

    /// The namespace that a call's target is; None where it is a value.
    pub fn namespace<'e>(&self, target: &'e IdedExpr) -> Option<&'e str> {
        match &target.expr {
            Expr::Ident(name) if self.local(name).is_none() => {
                let name = name.trim_start_matches('.');
                NAMESPACES.contains(&name).then_some(name)
            }
            _ => None,
        }
    }
}

impl<'e> RequestPath<'e> {
    fn then(mut self, name: &'e str, optional: bool) -> Self {
        // Behind an optional, every selection is optional.
        if !optional && self.plain == self.names.len() {
            self.plain += 1;
        }
        self.names.push(name);
        self
    }

    fn text(&self) -> String {
        let mut text = self.root.name().to_owned();
        for name in &self.names {
            text.push('.');
            text.push_str(name);
        }
        text
    }
}

/// Finishes a call: `dyn` vanishes, constant patterns are compiled.
fn finish_call(expr: &IdedExpr, function: Function, mut arguments: Vec<Node>) -> Compiled {
    if function == Function::Dyn {
        return arguments
            .pop()
            .ok_or_else(|| problem(expr, "`dyn` takes one argument"));
    }
    if function == Function::Matches
        && let [_, Node::Literal(Literal::String(text))] = arguments.as_slice()
    {
        let regex = pattern::compile(text).map_err(|message| problem(expr, message))?;
        let subject = arguments.swap_remove(0);
        return Ok(Node::Matches(Box::new(subject), Box::new(regex)));
    }
    Ok(Node::Call(function, arguments.into()))
}

/// `in`, by a set where the right side is a constant list that can be one.
fn in_list(pair: Box<[Node; 2]>) -> Node {
    let set = match &pair[1] {
        Node::Literal(Literal::List(items)) => Set::new(items),
        _ => None,
    };
    match set {
        Some(set) => {
            let [needle, _] = *pair;
            Node::InSet(Box::new(needle), Box::new(set))
        }
        None => Node::In(pair),
    }
}

fn constant(literal: &LiteralValue) -> Literal {
    match literal {
        LiteralValue::Boolean(value) => Literal::Bool(*value.inner()),
        LiteralValue::Bytes(bytes) => Literal::Bytes(bytes.inner().into()),
        LiteralValue::Double(value) => Literal::Double(*value.inner()),
        LiteralValue::Int(value) => Literal::Int(*value.inner()),
        LiteralValue::Null => Literal::Null,
        LiteralValue::String(text) => Literal::String(text.inner().into()),
        LiteralValue::UInt(value) => Literal::Uint(*value.inner()),
    }
}

/// Whether a node that is no constant itself has only constants below it.
fn is_constant(node: &Node) -> bool {
    let literal = |node: &Node| matches!(node, Node::Literal(_));
    match node {
        Node::Select(operand, _)
        | Node::HasMember(operand, _)
        | Node::OptionalSelect(operand, _)
        | Node::Not(operand)
        | Node::Negate(operand)
        | Node::InSet(operand, _)
        | Node::Matches(operand, _) => literal(operand),
        Node::Index(pair)
        | Node::OptionalIndex(pair)
        | Node::Equal(pair)
        | Node::NotEqual(pair)
        | Node::Compare(_, pair)
        | Node::Arithmetic(_, pair)
        | Node::In(pair) => pair.iter().all(literal),
        Node::And(items) | Node::Or(items) | Node::Call(_, items) => items.iter().all(literal),
        Node::Conditional(parts) => parts.iter().all(literal),
        Node::List(items) => items.iter().all(|item| literal(&item.node)),
        Node::Map(pairs) => pairs
            .iter()
            .all(|pair| literal(&pair.key) && literal(&pair.value)),
        _ => false,
    }
}

/// Computes a node whose parts are constants.
fn fold(node: Node) -> Node {
    if !is_constant(&node) {
        return node;
    }
    let arena = Bump::new();
    let slots = Slots::new(&Layout::default(), &arena);
    let data = Data::default();
    let frame = Frame::new(&slots, &data, Timestamp::default(), &arena, CONSTANT_STEPS);
    let machine = Machine {
        frame: &frame,
        locals: &[],
    };
    // An error stays: it may be absorbed, or never be reached.
    let kept = machine
        .eval(&node)
        .ok()
        .and_then(|value| Literal::keep(&value));
    kept.map_or(node, Node::Literal)
}
