//! What a search looks for.

/// The kind of entity that a search looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought {
    Subject,
    Action,
    Resource,
}

impl Sought {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Subject, Self::Action, Self::Resource];

    /// The member of a request that stands for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Action => "action",
            Self::Resource => "resource",
        }
    }
}
