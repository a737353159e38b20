//! Which rules lie at which path below `data`.

use std::collections::BTreeMap;

/// A place below `data`: a package, a rule, or on the way to one.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub children: BTreeMap<Box<str>, Node>,
    /// The rule here, by its position.
    pub rule: Option<usize>,
}

impl Node {
    /// The node at `path`, made where it is not there yet.
    pub fn place(&mut self, path: &[String]) -> &mut Self {
        path.iter().fold(self, |node, name| {
            node.children.entry(name.as_str().into()).or_default()
        })
    }
}
