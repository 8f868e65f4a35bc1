//! The versions of the schema, and how a file is brought to the newest.

use std::sync::LazyLock;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Connection, SqlSafeStr, SqliteConnection};

/// Every version, oldest first. A released one is never changed: files remember what made them.
static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let versions = [
        ("initial", include_str!("../migrations/0001_initial.sql")),
        ("changes", include_str!("../migrations/0002_changes.sql")),
        ("disk facts", include_str!("../migrations/0003_disk_facts.sql")),
    ];
    let migration = |(version, (name, sql)): (i64, (&'static str, &'static str))| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations((1..).zip(versions).map(migration).collect())
});

/// Why a file cannot be brought to the newest version.
#[derive(Debug)]
pub(crate) enum SchemaError {
    /// The file's version is newer than this program.
    Newer {
        /// The file's.
        found: i64,
        /// This program's.
        newest: i64,
    },
    /// It holds another program's tables.
    Foreign,
    /// A version in it is not the one that was released.
    Altered,
    /// SQLite refused.
    Sql(sqlx::Error),
}

impl From<sqlx::Error> for SchemaError {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

/// The newest version that this program understands.
pub(crate) fn newest() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Brings a database to the newest version, all of it or nothing. A current one is not written.
/// Two programs may do it at once: the second finds it done.
pub(crate) async fn bring_up_to_date(connection: &mut SqliteConnection) -> Result<(), SchemaError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'").fetch_all(&mut *transaction).await?;
    if tables.iter().any(|name| name == "_sqlx_migrations") {
        let found: Option<i64> =
            sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(&mut *transaction).await?;
        if let Some(found) = found.filter(|found| *found > newest()) {
            return Err(SchemaError::Newer { found, newest: newest() });
        }
    } else if !tables.is_empty() {
        return Err(SchemaError::Foreign);
    }
    // Not `run`: its future cannot be proved to be `Send` ("`Acquire` is not general enough").
    MIGRATIONS.run_direct(None, &mut *transaction, false).await.map_err(|error| match error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => SchemaError::Sql(source),
        MigrateError::VersionMismatch(_) => SchemaError::Altered,
        _ => SchemaError::Foreign,
    })?;
    Ok(transaction.commit().await?)
}
