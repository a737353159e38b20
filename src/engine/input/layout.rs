//! The trie of wanted paths. A slot is a node of it.

use crate::engine::table::Table;

use super::{Root, Slot};

/// Above this many members of one object that are read, they are found by hash.
const LINEAR: usize = 12;

/// Which paths the program reads, and where each lands. Built while compiling, then frozen.
#[derive(Debug)]
pub struct Layout {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
pub(super) struct Node {
    /// The whole value is read here, not only its presence or members.
    pub value: bool,
    children: Vec<(Box<str>, u32)>,
    by_name: Table<Box<str>, u32>,
}

/// The roots' own nodes, empty.
impl Default for Layout {
    fn default() -> Self {
        Self {
            nodes: Root::ALL.iter().map(|_| Node::default()).collect(),
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
        }
        slot
    }

    /// As [`Layout::slot`], but only whether there is a value will be asked: the value itself is
    /// kept only where someone else asks for it.
    pub fn presence(&mut self, root: Root, path: &[&str]) -> Slot {
        path.iter()
            .fold(Self::root(root), |parent, name| self.child(parent, name))
    }

    fn child(&mut self, parent: Slot, name: &str) -> Slot {
        if let Some(slot) = self.find(parent, name) {
            return slot;
        }
        let index = self.nodes.len() as u32;
        self.nodes.push(Node::default());
        if let Some(node) = self.nodes.get_mut(parent.0 as usize) {
            node.children.push((name.into(), index));
            if node.children.len() > LINEAR {
                node.by_name = node.children.iter().cloned().collect();
            }
        }
        Slot(index)
    }

    /// The slot of a root as a whole.
    #[must_use]
    pub const fn root(root: Root) -> Slot {
        Slot(root as u32)
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

    /// The slot of member `name` of the value at `parent`, where someone reads it.
    pub(super) fn find(&self, parent: Slot, name: &str) -> Option<Slot> {
        let node = self.nodes.get(parent.0 as usize)?;
        if node.children.len() > LINEAR {
            return node.by_name.get(name).map(|index| Slot(*index));
        }
        node.children
            .iter()
            .find(|(candidate, _)| **candidate == *name)
            .map(|(_, index)| Slot(*index))
    }

    /// Whether the whole value at `slot` is kept.
    pub(super) fn keeps_value(&self, slot: Slot) -> bool {
        self.nodes
            .get(slot.0 as usize)
            .is_some_and(|node| node.value)
    }

    pub(super) fn children(&self, slot: Slot) -> &[(Box<str>, u32)] {
        self.nodes
            .get(slot.0 as usize)
            .map_or(&[], |node| &node.children)
    }
}
