//! The trie of wanted paths. A slot is a node of it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::names::{Names, ShortName};
use super::{Root, Slot};

/// Which paths the program reads, and where each lands. Built while compiling, then frozen.
#[derive(Debug)]
pub struct Layout {
    /// No other layout of the process has it.
    id: u64,
    nodes: Vec<Node>,
    /// Roots of the paths that were asked for lately, a bit for each.
    asked: u16,
}

#[derive(Debug, Default)]
pub(super) struct Node {
    /// The whole value is read here, not only its presence or members.
    pub value: bool,
    /// The whole value is read here, and no member of it by itself: most of what policies name.
    pub is_kept_leaf: bool,
    children: Vec<(Box<str>, u32)>,
    names: Names,
}

/// A slot that no layout has.
static NOBODY: Node = Node {
    value: false,
    is_kept_leaf: false,
    children: Vec::new(),
    names: Names::EMPTY,
};

/// The roots' own nodes, empty.
impl Default for Layout {
    fn default() -> Self {
        static MADE: AtomicU64 = AtomicU64::new(1);
        Self {
            id: MADE.fetch_add(1, Ordering::Relaxed),
            nodes: Root::ALL.iter().map(|_| Node::default()).collect(),
            asked: 0,
        }
    }
}

impl Layout {
    /// The slot of `path` below `root`, made on first use: its whole value is kept. An empty path is the
    /// whole root.
    pub fn slot(&mut self, root: Root, path: &[&str]) -> Slot {
        let slot = self.presence(root, path);
        if let Some(node) = self.nodes.get_mut(slot.0 as usize) {
            node.value = true;
            node.is_kept_leaf = node.is_leaf();
        }
        slot
    }

    /// As [`Layout::slot`], but only whether there is a value will be asked: the value itself is
    /// kept only where someone else asks for it.
    pub fn presence(&mut self, root: Root, path: &[&str]) -> Slot {
        self.asked |= bit(root);
        path.iter()
            .fold(Self::root(root), |parent, name| self.child(parent, name))
    }

    /// Begins to note which roots are asked for.
    pub const fn forget_asked(&mut self) {
        self.asked = 0;
    }

    /// Whether a path below this root, or all of it, was asked for since [`Layout::forget_asked`].
    #[must_use]
    pub const fn is_asked(&self, root: Root) -> bool {
        self.asked & bit(root) != 0
    }

    fn child(&mut self, parent: Slot, name: &str) -> Slot {
        if let Some(slot) = self.find(parent, name) {
            return slot;
        }
        let index = self.nodes.len() as u32;
        self.nodes.push(Node::default());
        if let Some(node) = self.nodes.get_mut(parent.0 as usize) {
            node.children.push((name.into(), index));
            node.names.add(name, index);
            node.is_kept_leaf = false;
        }
        Slot(index)
    }

    /// The slot of a root as a whole.
    #[must_use]
    pub const fn root(root: Root) -> Slot {
        Slot(root as u32)
    }

    /// What tells it from all other layouts of the process.
    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    /// Number of slots.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never: the roots are always there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether the whole value at `slot` is kept.
    #[must_use]
    pub fn keeps(&self, slot: Slot) -> bool {
        self.node(slot).value
    }

    /// The slot of member `name` of the value at `parent`, where someone reads it.
    pub(super) fn find(&self, parent: Slot, name: &str) -> Option<Slot> {
        self.node(parent).find(name)
    }

    #[inline]
    pub(super) fn node(&self, slot: Slot) -> &Node {
        self.nodes.get(slot.0 as usize).unwrap_or(&NOBODY)
    }

    pub(super) fn children(&self, slot: Slot) -> &[(Box<str>, u32)] {
        &self.node(slot).children
    }
}

const fn bit(root: Root) -> u16 {
    1 << root as u16
}

impl Node {
    /// The slot of a member, where someone reads it.
    pub fn find(&self, name: &str) -> Option<Slot> {
        self.names.find(name).map(Slot)
    }

    /// As [`Node::find`].
    #[inline]
    pub fn find_short(&self, name: ShortName) -> Option<Slot> {
        self.names.find_short(name).map(Slot)
    }

    /// Whether no member of the value is read by itself.
    #[inline]
    pub fn is_leaf(&self) -> bool {
        self.children.is_empty()
    }
}
