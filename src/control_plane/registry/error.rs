//! Why the registry refuses.

use crate::control_plane::store::StoreError;

/// One of several things wrong with a request or a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A JSON pointer into the request, or a place in the document.
    pub place: String,
    pub message: String,
}

impl Fault {
    /// A fault at a place.
    pub fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            message: message.into(),
        }
    }
}

/// A refusal, or a failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The request has the wrong shape: missing or misspelt fields, values out of range.
    #[error("the request is not valid")]
    Shape(Vec<Fault>),
    /// A key pair that does not fit together, or is none.
    #[error("{0}")]
    Key(String),
    /// The content is one of our documents and does not hold, alone or beside the active ones.
    #[error("the policy is not valid")]
    Policy(Vec<Fault>),
    #[error("{0}")]
    NotFound(String),
    /// A name or a version that is taken.
    #[error("{0}")]
    Exists(String),
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Precondition(String),
    /// What a change was worked out from is different by now.
    #[error("the policy was changed by somebody else at the same moment; try again")]
    Moved,
    #[error("a request with this idempotency key is still running")]
    InProgress,
    #[error("this idempotency key was used for another request")]
    KeyReused,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a task of the registry broke off")]
    BrokenOff(#[from] tokio::task::JoinError),
}

impl RegistryError {
    /// A request with one thing wrong.
    pub fn shape(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Shape(vec![Fault::new(place, message)])
    }

    /// Whether the same request would be refused again, so that its key may keep the answer.
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Shape(_)
            | Self::Key(_)
            | Self::Policy(_)
            | Self::NotFound(_)
            | Self::Exists(_)
            | Self::Conflict(_)
            | Self::Precondition(_) => true,
            Self::Moved
            | Self::InProgress
            | Self::KeyReused
            | Self::Store(_)
            | Self::BrokenOff(_) => false,
        }
    }
}

impl From<sqlx::Error> for RegistryError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
