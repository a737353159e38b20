//! The embedded database: one writer at a time, many readers, migrations beside it.
//!
//! Everything else here is functions over a connection, one file per table, so that a change, its
//! number, its job and its idempotency row share one transaction.

pub mod bundles;
pub mod idempotency;
pub mod numbers;
pub mod policies;
pub mod sidecars;
pub mod versions;

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{SqlSafeStr, Sqlite, SqlitePool};

use super::StoreError;

/// How long a statement waits for a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request waits for a connection before it fails.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);
const READERS: u32 = 8;

/// The database file.
#[derive(Clone, Debug)]
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
}

/// A transaction that holds the write lock from its start. Dropped = rolled back.
pub type Writing = sqlx::Transaction<'static, Sqlite>;

/// A consistent view.
pub type Reading = sqlx::Transaction<'static, Sqlite>;

impl Store {
    /// Opens or creates the file and brings it to this version.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or migrated.
    pub async fn open(file: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A caller that got a success has a durable write, so every commit is synced.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options.clone())
            .await?;
        migrations().run(&writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options.pragma("query_only", "ON"))
            .await?;
        Ok(Self { writer, readers })
    }

    /// Starts a write; waits for the one before it.
    ///
    /// # Errors
    ///
    /// When the database fails, or the wait grows too long.
    pub async fn write(&self) -> Result<Writing, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Starts a read of one moment.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn read(&self) -> Result<Reading, StoreError> {
        Ok(self.readers.begin().await?)
    }

    /// Its connections by pool: how many there are, how many of them nobody uses, how many there may be.
    #[must_use]
    pub fn connections(&self) -> [(&'static str, u32, u32, u32); 2] {
        let count = |pool: &SqlitePool, most| {
            let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
            (pool.size(), idle, most)
        };
        let (size, idle, most) = count(&self.writer, 1);
        let (read_size, read_idle, read_most) = count(&self.readers, READERS);
        [
            ("writer", size, idle, most),
            ("readers", read_size, read_idle, read_most),
        ]
    }

    /// Asks whether the database answers.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let mut read = self.read().await?;
        sqlx::query("SELECT 1 FROM tenants LIMIT 1")
            .fetch_optional(&mut *read)
            .await?;
        Ok(())
    }

    /// Closes the file, once nothing uses it any more.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn migrations() -> Migrator {
    let migration = |version, name: &'static str, text: &'static str, no_transaction| {
        let (simple, text) = (MigrationType::Simple, text.into_sql_str());
        Migration::new(version, name.into(), simple, text, no_transaction)
    };
    Migrator::with_migrations(vec![
        migration(
            1,
            "registry",
            include_str!("sqlite/migrations/0001_registry.sql"),
            false,
        ),
        // Has a transaction of its own: foreign keys cannot be switched off inside one.
        migration(
            2,
            "names of archived policies",
            include_str!("sqlite/migrations/0002_archived_names.sql"),
            true,
        ),
    ])
}

#[cfg(test)]
mod tests;
