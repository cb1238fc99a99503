-- Removes the next chunk of revoked rows that nobody needs any more, and writes their history: all
-- but the value, which went when the row was revoked.
-- $1 now · $2 the token types
-- $3, $4 lifetimes in seconds of access and refresh tokens without an expiry
-- $5, $6 the key after which the chunk begins · $7 its greatest size
WITH keep AS MATERIALIZED ( -- in days; NULL: for ever
    SELECT max(delete_after_days) FILTER (WHERE data_class = 'ended_sessions') AS ended,
           max(delete_after_days) FILTER (WHERE data_class = 'security_sessions') AS security
      FROM app.retention_policies
), spent AS (
    SELECT tenant_id, token_id
      FROM app.tokens
     WHERE is_revoked
       AND token_type = ANY ($2)
       AND (tenant_id, token_id) > ($5, $6)
       AND CASE token_type
           WHEN 'SESSION' -- kept after the revocation, longer where somebody may ask why
           THEN revoked_at + make_interval(days => CASE
                    WHEN revoked_reason IN ('EXPIRED', 'LOGOUT', 'LIMIT')
                    THEN (SELECT ended FROM keep) ELSE (SELECT security FROM keep) END) <= $1
           ELSE -- kept past the expiry, so that the use of a stolen token is still recognised
                coalesce(expires_at,
                         issued_at + CASE token_type WHEN 'ACCESS' THEN $3 ELSE $4 END
                                     * interval '1 second',
                         revoked_at) + interval '1 day' < $1
           END
     ORDER BY tenant_id, token_id
     LIMIT $7
       FOR UPDATE SKIP LOCKED
), removed AS (
    DELETE FROM app.tokens AS t
     USING spent
     WHERE (t.tenant_id, t.token_id) = (spent.tenant_id, spent.token_id)
    RETURNING t.tenant_id, t.token_id, t.token_hash, t.token_type, t.user_id, t.revoked_reason,
              t.issued_at, t.expires_at, t.revoked_at
), history AS (
    INSERT INTO app.token_revocations (tenant_id, token_id, token_hash, token_type, user_id, reason,
                                       issued_at, expired_at, revoked_at, removed_at)
    SELECT tenant_id, token_id, token_hash, token_type, user_id, coalesce(revoked_reason,
    'UNKNOWN'),
           issued_at, expires_at, revoked_at, $1
      FROM removed
    ON CONFLICT DO NOTHING -- an id loaded a second time: its first removal stands
)
SELECT tenant_id, 'REMOVED' AS what, count(*) AS rows, max(token_id) AS last_token
  FROM removed
 GROUP BY tenant_id
 ORDER BY tenant_id
