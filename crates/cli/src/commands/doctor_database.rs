//! What `yakin doctor` says of the rights that the schema's owner needs beside owning it.

use sqlx::postgres::PgPool;
use yakin_engine::tenant::blind_to_attempts;

use super::doctor::{Checks, Standing};

/// Whether work sees which attempts live: else it would send again what another attempt is sending.
pub async fn attempts(checks: &mut Checks, pool: &PgPool) {
    const NAME: &str = "attempts";
    match blind_to_attempts(pool).await {
        Ok(None) => checks.add(NAME, Standing::Good, "yakin.attempt_holds sees who is at work", ""),
        Ok(Some(owner)) => checks.add(
            NAME,
            Standing::Bad,
            format!("yakin.attempt_holds, owned by {owner}, sees no job: messages go out twice"),
            format!(
                "as {owner}: DROP POLICY IF EXISTS holds ON yakin.jobs; \
                 CREATE POLICY holds ON yakin.jobs FOR SELECT TO \"{owner}\" USING (true)"
            ),
        ),
        Err(error) => checks.add(NAME, Standing::Bad, error.to_string(), "see the message"),
    }
}
