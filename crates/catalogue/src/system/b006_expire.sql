-- Revokes the next chunk of access and refresh tokens past their effective expiry (their own, else
-- issue + lifetime of the type); a token with neither is malformed.
-- $1 now · $2, $3 lifetimes in seconds of access and refresh tokens
-- $4, $5 the key after which the chunk begins · $6 its greatest size
WITH expiring AS ( -- rows that sign-in traffic holds are left to the next run
    SELECT tenant_id, token_id
      FROM app.tokens
     WHERE NOT is_revoked
       AND token_type IN ('ACCESS', 'REFRESH')
       AND (tenant_id, token_id) > ($4, $5)
       AND coalesce(expires_at,
                    issued_at + CASE token_type WHEN 'ACCESS' THEN $2 ELSE $3 END
                                * interval '1 second',
                    $1) <= $1
     ORDER BY tenant_id, token_id
     LIMIT $6
       FOR UPDATE SKIP LOCKED
), revoked AS (
    UPDATE app.tokens AS t
       SET is_revoked = true, revoked_at = $1, token_value = NULL,
           revoked_reason = CASE WHEN t.expires_at IS NULL AND t.issued_at IS NULL THEN 'MALFORMED'
                                 ELSE 'EXPIRED' END
      FROM expiring
     WHERE (t.tenant_id, t.token_id) = (expiring.tenant_id, expiring.token_id)
    RETURNING t.tenant_id, t.token_id, t.revoked_reason
)
SELECT tenant_id, revoked_reason AS what, count(*) AS rows, max(token_id) AS last_token
  FROM revoked
 GROUP BY tenant_id, revoked_reason
 ORDER BY tenant_id, revoked_reason
