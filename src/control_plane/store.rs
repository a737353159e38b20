//! What the control plane remembers: its records, and the database they live in.

mod record;
pub mod sqlite;

pub use record::{BundleRow, Format, JobRow, PolicyRow, PolicyStatus, Selected, VersionRow};
pub use sqlite::Store;

/// The store failed, or holds what no version of this program wrote.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    #[error("the database cannot be brought to this version")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A column holds a value that is not in its set.
    #[error("the database holds `{value}` as {column}")]
    Unreadable { column: &'static str, value: String },
}

impl StoreError {
    /// For a column with a value outside its set.
    pub fn unreadable(column: &'static str, value: impl Into<String>) -> Self {
        Self::Unreadable {
            column,
            value: value.into(),
        }
    }
}
