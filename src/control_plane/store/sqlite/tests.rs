use sqlx::Row as _;

use super::*;

async fn execute(pool: &SqlitePool, statement: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(statement).execute(pool).await.map(drop)
}

/// What the first version of the program left: a tenant with two policies, one of them archived, and a version each.
async fn written_by_the_first(file: &Path) {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await
        .unwrap();
    let first = migrations().iter().take(1).cloned().collect();
    Migrator::with_migrations(first).run(&pool).await.unwrap();
    for statement in [
        "INSERT INTO tenants (tenant, number, active_number) VALUES ('acme', 7, 7)",
        "INSERT INTO policies VALUES
            ('acme', 'p1', 'live', 'text', 'json', 'active', '[]', '[]', 'ann', 1, 2, 3),
            ('acme', 'p2', 'gone', NULL, 'rego', 'archived', '[\"a\"]', '[]', 'ann', 4, 5, 6)",
        "INSERT INTO versions VALUES
            ('acme', 'p1', '1.0.0', '{}', 'h', 's', 'k', 'x', 'nothing', '[]', NULL, 'active', NULL, NULL, 'ann', 1, 1, 1),
            ('acme', 'p2', '1.0.0', '{}', 'h', 's', 'k', 'x', 'nothing', '[]', 'B', 'retired', NULL, NULL, 'ann', 1, 1, 1)",
        "INSERT INTO bundles VALUES ('acme', 7, '7-0', 'ab', 1, 2, 'k', 1, x'00ff')",
    ] {
        execute(&pool, statement).await.unwrap();
    }
    pool.close().await;
}

#[tokio::test]
async fn a_database_of_the_first_version_keeps_every_row_and_frees_archived_names() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("registry.db");
    written_by_the_first(&file).await;
    // Twice: a migration that ran is not run again.
    for _ in 0..2 {
        let store = Store::open(&file).await.unwrap();
        let rows = sqlx::query("SELECT * FROM policies ORDER BY id")
            .fetch_all(&store.readers)
            .await
            .unwrap();
        assert_eq!(rows.len(), 2);
        let text = |row: usize, name: &str| rows[row].get::<Option<String>, _>(name);
        assert_eq!(text(0, "name").as_deref(), Some("live"));
        assert_eq!(text(0, "description").as_deref(), Some("text"));
        assert_eq!(text(1, "description"), None);
        assert_eq!(text(1, "tags").as_deref(), Some("[\"a\"]"));
        let edition: i64 = rows[1].get("edition");
        assert_eq!(edition, 6);
        let kept: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM versions JOIN policies ON policies.id = versions.policy JOIN bundles USING (tenant)",
        )
        .fetch_one(&store.readers)
        .await
        .unwrap();
        assert_eq!(kept, 2);
        let broken = sqlx::query("PRAGMA foreign_key_check")
            .fetch_all(&store.readers)
            .await
            .unwrap();
        assert!(broken.is_empty());
        store.close().await;
    }
    let store = Store::open(&file).await.unwrap();
    let insert = |id: &'static str, name: &'static str| {
        let pool = &store.writer;
        async move {
            sqlx::query(
                "INSERT INTO policies VALUES ('acme', ?, ?, NULL, 'json', 'draft', '[]', '[]', 'ann', 1, 1, 1)",
            )
            .bind(id)
            .bind(name)
            .execute(pool)
            .await
        }
    };
    assert!(insert("p3", "live").await.is_err(), "a live name is taken");
    assert!(
        insert("p3", "gone").await.is_ok(),
        "an archived one is free"
    );
    assert!(insert("p4", "gone").await.is_err(), "and taken once");
    // Foreign keys hold again, and to the new table.
    let orphan = "INSERT INTO versions VALUES
        ('acme', 'p9', '1.0.0', '{}', 'h', 's', 'k', 'x', 'nothing', '[]', NULL, 'draft', NULL, NULL, 'ann', 1, 1, 1)";
    assert!(execute(&store.writer, orphan).await.is_err());
    store.close().await;
}
