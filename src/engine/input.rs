//! From JSON text to slots: one pass over the text, driven by a trie of the paths that the loaded
//! policies mention. What no policy mentions is checked for syntax and skipped.

mod block;
mod habit;
mod layout;
mod names;
mod scan;
mod slots;
#[cfg(test)]
mod tests;
mod text;

pub use habit::Habit;
pub use layout::Layout;
pub use slots::Slots;
pub(super) use text::parse_number;

/// The variables that come from the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Root {
    Input,
    Subject,
    Action,
    Resource,
    Context,
    Http,
    Jwt,
    Params,
    Source,
    Destination,
    Tls,
    Extensions,
    Metadata,
}

impl Root {
    /// All, in the order of their slots.
    pub const ALL: [Self; 13] = [
        Self::Input,
        Self::Subject,
        Self::Action,
        Self::Resource,
        Self::Context,
        Self::Http,
        Self::Jwt,
        Self::Params,
        Self::Source,
        Self::Destination,
        Self::Tls,
        Self::Extensions,
        Self::Metadata,
    ];

    /// The variable's name in expressions.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Subject => "subject",
            Self::Action => "action",
            Self::Resource => "resource",
            Self::Context => "context",
            Self::Http => "http",
            Self::Jwt => "jwt",
            Self::Params => "params",
            Self::Source => "source",
            Self::Destination => "destination",
            Self::Tls => "tls",
            Self::Extensions => "extensions",
            Self::Metadata => "metadata",
        }
    }
}

/// Index of a path's value in [`Slots`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(pub u32);

/// The name of a member that goes to a root of its own.
#[derive(Clone, Copy, Debug)]
pub struct PartName {
    name: names::ShortName,
    root: Root,
}

impl PartName {
    /// Members called as the root in expressions.
    #[must_use]
    pub const fn of(root: Root) -> Self {
        Self {
            name: names::ShortName::of(root.name()),
            root,
        }
    }
}

/// What came under the name of a member that goes to a root of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Missing,
    Null,
    Object,
    Other,
}

impl Part {
    /// The kind of a value by its first byte.
    const fn beginning_with(byte: u8) -> Self {
        match byte {
            b'{' => Self::Object,
            b'n' => Self::Null,
            _ => Self::Other,
        }
    }
}

/// A request body that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} at byte {offset}")]
pub struct InputError {
    pub message: &'static str,
    pub offset: usize,
}
