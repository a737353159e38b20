//! The compiled form of an expression.

use crate::engine::data::DataNode;
use crate::engine::input::Slot;

use super::function::Function;
use super::literal::Literal;
use super::set::Set;

/// Text of the error where a path has no value.
pub(super) type Missing = Box<str>;

/// One step of evaluation.
#[derive(Debug)]
pub(super) enum Node {
    Literal(Literal),
    Now,
    Slot {
        slot: Slot,
        missing: Missing,
    },
    /// `has()` of a path.
    HasSlot {
        parent: Slot,
        slot: Slot,
        missing: Missing,
    },
    /// Optional selections below a path: `input.a.?b.?c`.
    OptionalSlot {
        base: Slot,
        path: Box<[Slot]>,
        missing: Missing,
    },
    Data(DataNode),
    Variable(usize),
    Local(usize),
    Select(Box<Node>, Box<str>),
    HasMember(Box<Node>, Box<str>),
    OptionalSelect(Box<Node>, Box<str>),
    Index(Box<[Node; 2]>),
    OptionalIndex(Box<[Node; 2]>),
    And(Box<[Node]>),
    Or(Box<[Node]>),
    Not(Box<Node>),
    Negate(Box<Node>),
    Conditional(Box<[Node; 3]>),
    Equal(Box<[Node; 2]>),
    NotEqual(Box<[Node; 2]>),
    Compare(Comparison, Box<[Node; 2]>),
    Arithmetic(Operator, Box<[Node; 2]>),
    In(Box<[Node; 2]>),
    InSet(Box<Node>, Box<Set>),
    List(Box<[Item]>),
    Map(Box<[Pair]>),
    Call(Function, Box<[Node]>),
    /// `matches` with a constant pattern.
    Matches(Box<Node>, Box<regex::Regex>),
    Loop(Box<Loop>),
    Bind(Box<Bind>),
    OptionalMap(Box<OptionalMap>),
}

/// An order to test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// An arithmetic operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

/// An element of a list literal.
#[derive(Debug)]
pub(super) struct Item {
    pub node: Node,
    /// Left out where its optional is empty.
    pub optional: bool,
}

/// An entry of a map literal.
#[derive(Debug)]
pub(super) struct Pair {
    pub key: Node,
    pub value: Node,
    /// Left out where its optional is empty.
    pub optional: bool,
}

/// What a comprehension makes of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    /// A list of the body's values, where the filter holds.
    List,
    /// A map of the same keys to the body's values, where the filter holds.
    Map,
    /// A map of the entries of the body's maps.
    MapEntry,
}

/// A comprehension. With one variable it is the element or key; with two they are index and element,
/// or key and value.
#[derive(Debug)]
pub(super) struct Loop {
    pub kind: LoopKind,
    pub range: Node,
    pub first: usize,
    pub second: Option<usize>,
    pub filter: Option<Node>,
    pub body: Node,
}

/// `cel.bind`.
#[derive(Debug)]
pub(super) struct Bind {
    pub local: usize,
    pub value: Node,
    pub body: Node,
}

/// `optMap` and `optFlatMap`.
#[derive(Debug)]
pub(super) struct OptionalMap {
    pub operand: Node,
    pub local: usize,
    pub body: Node,
    pub flat: bool,
}
