//! `yakin token …` and `yakin audit …`: who may, and who did.

use yakin_engine::access::{self, NewToken};
use yakin_engine::days::clock_text;
use yakin_engine::look;
use yakin_engine::record::audit::{digest_at, verify};
use yakin_engine::tenant;

use crate::arguments::{Audit, Token};
use crate::output::{End, UsageError, json, line, table};
use crate::place::{Place, act};

/// Makes, lists or revokes tokens.
pub async fn token(place: &Place, command: Token) -> anyhow::Result<End> {
    let pool = place.pool().await?;
    match command {
        Token::Create(new) => {
            let tenants = tenant::by_codes(&pool, &new.tenant).await?;
            let made = NewToken {
                name: new.name,
                role: new.role.into(),
                tenants: (!tenants.is_empty()).then_some(tenants),
                days: new.days,
            };
            let text = access::create(&pool, made, &act(&new.why.reason)?).await?;
            if place.json {
                json(&serde_json::json!({"token": text}))?;
            } else {
                line(text);
            }
        }
        Token::List => list(place, &pool).await?,
        Token::Revoke { name, why } => {
            access::revoke(&pool, &name, &act(&why.reason)?).await?;
            line(format!("token {name} is revoked"));
        }
    }
    Ok(End::Done)
}

async fn list(place: &Place, pool: &sqlx::PgPool) -> anyhow::Result<()> {
    let tokens = access::list(pool).await?;
    if place.json {
        return json(&tokens);
    }
    if tokens.is_empty() {
        line("no token; `yakin token create NAME --role viewer --reason …` makes one");
        return Ok(());
    }
    let known = tenant::all(pool).await?;
    let code = |id: &i64| {
        known.iter().find(|t| t.id == *id).map_or_else(|| id.to_string(), |t| t.code.clone())
    };
    let rows: Vec<Vec<String>> = tokens
        .iter()
        .map(|t| {
            let until = match t.real_revoked {
                Some(at) => format!("revoked {}", clock_text(at.to_jiff())),
                None => clock_text(t.real_expires.to_jiff()),
            };
            let tenants = t.tenants.as_ref().map(|ids| ids.iter().map(code).collect::<Vec<_>>());
            vec![
                t.name.clone(),
                t.role.clone(),
                until,
                t.real_used.map_or_else(|| "never".to_owned(), |at| clock_text(at.to_jiff())),
                t.created_by.clone(),
                tenants.map_or_else(|| "all".to_owned(), |codes| codes.join(" ")),
            ]
        })
        .collect();
    table(&["NAME", "ROLE", "UNTIL (TOKYO)", "LAST USED", "MADE BY", "TENANTS"], &rows);
    Ok(())
}

/// Lists the audit's newest lines, or verifies it.
pub async fn audit(place: &Place, limit: i64, command: Option<Audit>) -> anyhow::Result<End> {
    if let Some(Audit::Verify { head }) = command {
        return verified(place, head.as_deref()).await;
    }
    let acts = look::audit(&place.pool().await?, limit).await?;
    if place.json {
        json(&acts)?;
        return Ok(End::Done);
    }
    let rows: Vec<Vec<String>> = acts
        .iter()
        .map(|a| {
            vec![
                clock_text(a.real_time.to_jiff()),
                a.actor.clone(),
                a.action.clone(),
                a.subject.clone(),
                a.reason.clone(),
            ]
        })
        .collect();
    table(&["WHEN (TOKYO)", "WHO", "WHAT", "SUBJECT", "WHY"], &rows);
    Ok(End::Done)
}

async fn verified(place: &Place, noted: Option<&str>) -> anyhow::Result<End> {
    let pool = place.pool().await?;
    let mut chain = verify(&pool).await?;
    if let Some(noted) = noted {
        let (seq, digest) = noted
            .split_once(':')
            .and_then(|(seq, digest)| Some((seq.parse::<i64>().ok()?, digest)))
            .ok_or_else(|| {
                UsageError(format!("'{noted}' is no NUMBER:DIGEST, such as 118:9f2c…"))
            })?;
        match digest_at(&pool, seq).await? {
            Some(now) if now == digest.to_ascii_lowercase() => {}
            Some(_) => chain.faults.push(format!(
                "act number {seq} of the chain had another digest when it was noted"
            )),
            None => chain
                .faults
                .push(format!("act number {seq} of the chain, noted before, is missing")),
        }
    }
    let end = if chain.faults.is_empty() { End::Done } else { End::Failed };
    if place.json {
        json(&chain)?;
        return Ok(end);
    }
    for fault in &chain.faults {
        line(fault);
    }
    line(match end {
        End::Done => format!("{} acts stand as they were written", chain.acts),
        _ => format!("{} acts, {} faults", chain.acts, chain.faults.len()),
    });
    if !chain.head.is_empty() {
        line(format!("head {}:{}", chain.acts, chain.head));
    }
    Ok(end)
}
