//! Who may ask over HTTP: tokens, of which only a digest is kept; each expires, and can be revoked.

use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::FromRow;
use sqlx::postgres::PgPool;
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use crate::error::{Doing, EngineError};
use crate::look::Instant;
use crate::record::audit::{Act, record};
use crate::tx::Tx;

/// A token lives at most so long.
pub const LONGEST_DAYS: u32 = 366;

/// What a token may do; each may what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Looks.
    Viewer,
    /// Starts, holds, cancels, requeues, approves.
    Operator,
    /// Changes settings, stops everything.
    Admin,
}

impl Role {
    pub const ALL: [Role; 3] = [Role::Viewer, Role::Operator, Role::Admin];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }

    /// The role of that word.
    pub fn of(word: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// Whose token it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub token: i64,
    pub name: String,
    pub role: Role,
    /// The tenants it may look at and act for; `None` = all.
    pub tenants: Option<Vec<i64>>,
}

/// A token as people see it: never its text.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct TokenRow {
    pub id: i64,
    pub name: String,
    pub role: String,
    pub tenants: Option<Vec<i64>>,
    pub created_by: String,
    pub real_created: Instant,
    pub real_expires: Instant,
    pub real_revoked: Option<Instant>,
    pub real_used: Option<Instant>,
}

/// A token to make.
#[derive(Clone, Debug)]
pub struct NewToken {
    pub name: String,
    pub role: Role,
    pub tenants: Option<Vec<i64>>,
    /// Days until it expires, 1 to [`LONGEST_DAYS`].
    pub days: u32,
}

/// Makes a token and returns its text, which is shown once and kept nowhere.
pub async fn create(pool: &PgPool, new: NewToken, act: &Act) -> Result<String, EngineError> {
    let doing = "making a token";
    check(&new)?;
    let mut secret = [0_u8; 32];
    SystemRandom::new()
        .fill(&mut secret)
        .map_err(|_| EngineError::refused("the system gives no random numbers"))?;
    let secret = hex::encode(secret);
    let mut tx = Tx::engine(pool).await.doing(doing)?;
    let made: Option<i64> = sqlx::query_scalar(
        "INSERT INTO yakin.api_tokens (name, role, tenants, sha256, created_by, real_expires)
         VALUES ($1, $2, $3, $4, $5, clock_timestamp() + make_interval(days => $6))
         ON CONFLICT (name) DO NOTHING RETURNING id",
    )
    .bind(&new.name)
    .bind(new.role.word())
    .bind(&new.tenants)
    .bind(digest(&secret).to_vec())
    .bind(&act.actor)
    .bind(i32::try_from(new.days).unwrap_or(i32::MAX))
    .fetch_optional(tx.inner().doing(doing)?)
    .await
    .doing(doing)?;
    let Some(id) = made else {
        return Err(EngineError::conflict(format!(
            "there is a token '{}' already, maybe revoked; names stand in the audit and are not used again",
            new.name
        )));
    };
    let details = json!({"role": new.role.word(), "tenants": new.tenants, "days": new.days});
    record(&mut tx, act, "token create", &new.name, details).await.doing(doing)?;
    tx.commit().await.doing(doing)?;
    Ok(format!("yakin_{id}_{secret}"))
}

fn check(new: &NewToken) -> Result<(), EngineError> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c);
    let begins = new.name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if !begins || !new.name.chars().all(good) || new.name.len() > 63 {
        return Err(EngineError::refused(format!(
            "'{}' is no token's name; expected 1 to 63 of a-z 0-9 . - _, such as ci-trigger",
            new.name
        )));
    }
    if !(1..=LONGEST_DAYS).contains(&new.days) {
        let days = new.days;
        return Err(EngineError::refused(format!("{days} days; expected 1 to {LONGEST_DAYS}")));
    }
    match &new.tenants {
        Some(_) if new.role == Role::Admin => {
            Err(EngineError::refused("an admin's token is for all tenants; leave the tenants out"))
        }
        Some(tenants) if tenants.is_empty() => {
            Err(EngineError::refused("a token for no tenant; name at least one, or none at all"))
        }
        _ => Ok(()),
    }
}

/// All tokens, newest first.
pub async fn list(pool: &PgPool) -> Result<Vec<TokenRow>, EngineError> {
    sqlx::query_as(
        "SELECT id, name, role, tenants, created_by, real_created, real_expires, real_revoked, real_used
           FROM yakin.api_tokens ORDER BY id DESC LIMIT 1000",
    )
    .fetch_all(pool)
    .await
    .doing("reading tokens")
}

/// Revokes a token; it is refused from the next moment on.
pub async fn revoke(pool: &PgPool, name: &str, act: &Act) -> Result<(), EngineError> {
    let doing = "revoking a token";
    let mut tx = Tx::engine(pool).await.doing(doing)?;
    let found: Option<bool> = sqlx::query_scalar(
        "SELECT real_revoked IS NULL FROM yakin.api_tokens WHERE name = $1 FOR UPDATE",
    )
    .bind(name)
    .fetch_optional(tx.inner().doing(doing)?)
    .await
    .doing(doing)?;
    match found {
        None => {
            return Err(EngineError::unknown(format!(
                "no token '{name}'; `yakin token list` shows them"
            )));
        }
        Some(false) => {
            return Err(EngineError::conflict(format!("token '{name}' is revoked already")));
        }
        Some(true) => {}
    }
    sqlx::query("UPDATE yakin.api_tokens SET real_revoked = clock_timestamp() WHERE name = $1")
        .bind(name)
        .execute(tx.inner().doing(doing)?)
        .await
        .doing(doing)?;
    record(&mut tx, act, "token revoke", name, json!({})).await.doing(doing)?;
    tx.commit().await.doing(doing)
}

/// The caller of a token's text, or `None` where it is none of ours, has expired or is revoked. The digests are compared
/// in constant time. Notes the use, once a minute.
pub async fn caller(pool: &PgPool, text: &str) -> Result<Option<Caller>, EngineError> {
    let Some((id, secret)) = parts(text) else { return Ok(None) };
    type Kept = (String, String, Option<Vec<i64>>, Vec<u8>, bool);
    let row: Option<Kept> = sqlx::query_as(
        "SELECT name, role, tenants, sha256,
                coalesce(real_used < clock_timestamp() - interval '1 minute', true)
           FROM yakin.api_tokens
          WHERE id = $1 AND real_revoked IS NULL AND real_expires > clock_timestamp()",
    )
    .bind(id)
    .fetch_optional(pool)
    .await
    .doing("looking up a token")?;
    let given = digest(secret);
    let Some((name, role, tenants, kept, stale)) = row else { return Ok(None) };
    let (true, Some(role)) = (bool::from(given[..].ct_eq(&kept)), Role::of(&role)) else {
        return Ok(None);
    };
    if stale {
        sqlx::query("UPDATE yakin.api_tokens SET real_used = clock_timestamp() WHERE id = $1")
            .bind(id)
            .execute(pool)
            .await
            .doing("noting a token's use")?;
    }
    Ok(Some(Caller { token: id, name, role, tenants }))
}

/// Those of these tokens that are good now, as they stand now.
pub async fn good(pool: &PgPool, tokens: &[i64]) -> Result<Vec<Caller>, EngineError> {
    let rows: Vec<(i64, String, String, Option<Vec<i64>>)> = sqlx::query_as(
        "SELECT id, name, role, tenants FROM yakin.api_tokens
          WHERE id = ANY ($1) AND real_revoked IS NULL AND real_expires > clock_timestamp() ORDER BY id LIMIT 10000",
    )
    .bind(tokens)
    .fetch_all(pool)
    .await
    .doing("looking up tokens")?;
    let known = rows.into_iter().filter_map(|(token, name, role, tenants)| {
        Some(Caller { token, name, role: Role::of(&role)?, tenants })
    });
    Ok(known.collect())
}

/// When a token's text would be one: its number and its secret.
fn parts(text: &str) -> Option<(i64, &str)> {
    let (id, secret) = text.strip_prefix("yakin_")?.split_once('_')?;
    let id = id.parse().ok().filter(|id| *id > 0)?;
    let hex = secret.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (secret.len() == 64 && hex).then_some((id, secret))
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_token_is_not_looked_up() {
        let secret = "0123456789abcdef".repeat(4);
        assert_eq!(parts(&format!("yakin_7_{secret}")), Some((7, secret.as_str())));
        for wrong in ["", "yakin_7_", "yakin__", "yakin_-1_ff", "yakin_7_zz", "Bearer yakin_7_00"] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
        assert_eq!(parts(&format!("yakin_7_{}", secret.to_uppercase())), None);
        assert_eq!(parts(&format!("yakin_7_{secret}0")), None);
    }

    #[test]
    fn roles_stand_in_order() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
        assert_eq!(Role::of("operator"), Some(Role::Operator));
        assert_eq!(Role::of("root"), None);
    }
}
