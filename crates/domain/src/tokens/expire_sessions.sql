-- Revokes the next chunk of sessions that are past their time, and says how many of which tenant.
-- $1 now · $2 idle limit and $3 greatest age in seconds (NULL: only its own expiry ends a session)
-- $4, $5 the key after which the chunk begins · $6 its greatest size
WITH ending AS ( -- rows that sign-in traffic holds are left to the next run
    SELECT tenant_id, token_id
      FROM app.tokens
     WHERE NOT is_revoked
       AND token_type = 'SESSION'
       AND (tenant_id, token_id) > ($4, $5)
       AND (expires_at <= $1
            OR coalesce(last_used_at, issued_at) <= $1 - $2 * interval '1 second'
            OR issued_at <= $1 - $3 * interval '1 second')
     ORDER BY tenant_id, token_id
     LIMIT $6
       FOR UPDATE SKIP LOCKED
), ended AS (
    UPDATE app.tokens AS t
       SET is_revoked = true, revoked_at = $1, revoked_reason = 'EXPIRED', token_value = NULL
      FROM ending
     WHERE (t.tenant_id, t.token_id) = (ending.tenant_id, ending.token_id)
    RETURNING t.tenant_id, t.token_id
)
SELECT tenant_id, 'EXPIRED_SESSION' AS what, count(*) AS rows, max(token_id) AS last_token
  FROM ended
 GROUP BY tenant_id
 ORDER BY tenant_id
