-- Revokes the next chunk of live sessions that may not go on: without a valid user (ADMIN),
-- suspicious where the policy says so (SECURITY), beyond the number a user may have (LIMIT: the
-- least recently used go).
-- $1 now · $2 idle limit and $3 greatest age in seconds
-- $4 sessions per user · $5 suspicious sessions to revoke
-- $6 the session after which the chunk begins · $7 its greatest size
WITH live AS ( -- what is past its time is another pass's and counts against no limit
    SELECT s.tenant_id, s.token_id, s.user_id, coalesce(s.last_used_at, s.issued_at) AS last_use,
           CASE WHEN tenant.status <> 'active' OR users.status IS DISTINCT FROM 'active'
                     OR coalesce(s.last_used_at, s.issued_at, s.expires_at) IS NULL THEN 'ADMIN'
                WHEN s.token_id = ANY ($5) THEN 'SECURITY' END AS reason
      FROM app.tokens AS s
      JOIN app.tenants AS tenant USING (tenant_id)
      LEFT JOIN app.users USING (tenant_id, user_id)
     WHERE NOT s.is_revoked
       AND s.token_type = 'SESSION'
       AND (s.expires_at > $1) IS NOT FALSE
       AND (coalesce(s.last_used_at, s.issued_at) > $1 - $2 * interval '1 second') IS NOT FALSE
       AND (s.issued_at > $1 - $3 * interval '1 second') IS NOT FALSE
), ranked AS ( -- only sessions that may otherwise go on compete for a user's places
    SELECT tenant_id, token_id, reason,
           row_number() OVER (PARTITION BY tenant_id, user_id, reason
                              ORDER BY last_use DESC NULLS LAST, token_id DESC) AS place
      FROM live
), ending AS ( -- rows that sign-in traffic holds are left to the next run
    SELECT s.tenant_id, s.token_id, coalesce(ranked.reason, 'LIMIT') AS reason
      FROM app.tokens AS s
      JOIN ranked USING (tenant_id, token_id)
     WHERE NOT s.is_revoked
       AND s.token_id > $6
       AND (ranked.reason IS NOT NULL OR ranked.place > $4)
     ORDER BY s.token_id
     LIMIT $7
       FOR UPDATE OF s SKIP LOCKED
), ended AS (
    UPDATE app.tokens AS t
       SET is_revoked = true, revoked_at = $1, revoked_reason = ending.reason, token_value = NULL
      FROM ending
     WHERE (t.tenant_id, t.token_id) = (ending.tenant_id, ending.token_id)
    RETURNING t.tenant_id, t.token_id, t.revoked_reason
)
SELECT tenant_id, revoked_reason AS what, count(*) AS rows, max(token_id) AS last_token
  FROM ended
 GROUP BY tenant_id, revoked_reason
 ORDER BY tenant_id, revoked_reason
