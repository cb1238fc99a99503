//! The roles a set's databases name in their rights: those that a server lacks are made from the set's globals.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection};
use yakin_adapters::archive::Opener;

use super::source::{Source, connect};
use super::verify::same;
use super::{BackupError, DatabaseDump, Globals, Result, blocking};

/// The largest globals that are read, in bytes.
const MOST_BYTES: u64 = 64 << 20;

/// Roles that are missing, and the statements that make them.
pub struct MissingRoles {
    /// All that the set's server had and this one has not, as they stand in SQL.
    pub names: Vec<String>,
    /// Those without which the database does not come back.
    pub needed: Vec<String>,
    statements: Vec<String>,
}

impl MissingRoles {
    /// Compares a set's globals, and the roles that a dump of it names, with the server. Tablespaces are not looked at.
    pub async fn find(
        source: &Source,
        opener: &Arc<Opener>,
        set: &Path,
        globals: &Globals,
        dump: &DatabaseDump,
    ) -> Result<MissingRoles> {
        let text = text(opener, set, globals).await?;
        let mut server = connect(&source.login, None).await?;
        let known: Vec<(String, String)> = sqlx::query_as(
            "SELECT rolname::text, quote_ident(rolname) FROM pg_roles ORDER BY 1 LIMIT 100000",
        )
        .fetch_all(&mut server)
        .await?;
        server.close().await?;
        let (known, in_sql): (Vec<_>, Vec<_>) = known.into_iter().unzip();
        let mut found = missing(&text, &in_sql);
        if let Some(named) = &dump.roles {
            found.needed = named.iter().filter(|name| !known.contains(name)).cloned().collect();
        }
        Ok(found)
    }

    /// Makes them, all or none.
    pub async fn create(&self, source: &Source) -> Result<()> {
        if self.statements.is_empty() {
            return Ok(());
        }
        let mut server = connect(&source.login, None).await?;
        let all = format!("BEGIN;\n{}\nCOMMIT", self.statements.join("\n"));
        sqlx::raw_sql(AssertSqlSafe(all)).execute(&mut server).await?;
        Ok(server.close().await?)
    }
}

async fn text(opener: &Arc<Opener>, set: &Path, globals: &Globals) -> Result<String> {
    let (opener, path, globals) = (opener.clone(), set.join(&globals.file), globals.clone());
    blocking(move || {
        let mut reading = opener.open(&path)?;
        let mut bytes = Vec::new();
        let read = (&mut reading).take(MOST_BYTES).read_to_end(&mut bytes);
        read.map_err(|e| reading.damaged(&e))?;
        same(&globals.file, &globals.sealed, &reading.end()?)?;
        String::from_utf8(bytes)
            .map_err(|_| BackupError::Unproven(format!("{} is no text", globals.file)))
    })
    .await
}

/// pg_dumpall writes one statement a line. A membership is made where one of its sides is new. All are taken for needed:
/// who knows better says so.
fn missing(text: &str, known: &[String]) -> MissingRoles {
    let created = |line: &str| {
        let name = line.strip_prefix("CREATE ROLE ")?.strip_suffix(';')?;
        Some(name.to_owned())
    };
    let names: Vec<String> =
        text.lines().filter_map(created).filter(|name| !known.contains(name)).collect();
    let concerns = |line: &str| {
        names.iter().any(|name| {
            line == format!("CREATE ROLE {name};")
                || line.starts_with(&format!("ALTER ROLE {name} "))
                || line.starts_with(&format!("GRANT {name} TO "))
                || line.starts_with("GRANT ")
                    && (line.contains(&format!(" TO {name} "))
                        || line.ends_with(&format!(" TO {name};")))
        })
    };
    // who granted it may not be here
    let own = |line: &str| match line.split_once(" GRANTED BY ") {
        Some((grant, _)) if line.starts_with("GRANT ") => format!("{grant};"),
        _ => line.to_owned(),
    };
    let statements = text.lines().filter(|l| concerns(l)).map(own).collect();
    MissingRoles { needed: names.clone(), names, statements }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_server_lacks_is_made() {
        let text = "--\nCREATE ROLE postgres;\nALTER ROLE postgres WITH SUPERUSER;\nCREATE ROLE \"a b\";\n\
                    ALTER ROLE \"a b\" WITH LOGIN PASSWORD 'SCRAM';\nCREATE ROLE engine;\n\
                    ALTER ROLE engine WITH LOGIN;\nGRANT engine TO \"a b\" WITH INHERIT TRUE GRANTED BY postgres;\n\
                    GRANT pg_read_all_data TO postgres;\n";
        let found = missing(text, &["postgres".to_owned(), "engine".to_owned()]);
        assert_eq!(found.names, ["\"a b\""]);
        assert_eq!(
            found.statements,
            [
                "CREATE ROLE \"a b\";",
                "ALTER ROLE \"a b\" WITH LOGIN PASSWORD 'SCRAM';",
                "GRANT engine TO \"a b\" WITH INHERIT TRUE;"
            ]
        );
    }
}
