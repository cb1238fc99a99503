-- Revokes the next chunk of live access tokens whose refresh token (same user, same device) was
-- ended on purpose. A token issued after that belongs to a new sign-in and stays.
-- $1 now · $2 lifetime in seconds of an access token without an expiry
-- $3, $4 the key after which the chunk begins · $5 its greatest size
WITH orphaned AS ( -- rows that sign-in traffic holds are left to the next run
    SELECT access.tenant_id, access.token_id
      FROM app.tokens AS access
     WHERE NOT access.is_revoked
       AND access.token_type = 'ACCESS'
       AND (access.tenant_id, access.token_id) > ($3, $4)
       AND coalesce(access.expires_at, access.issued_at + $2 * interval '1 second') > $1
       AND EXISTS (
           SELECT FROM app.tokens AS refresh
            WHERE refresh.tenant_id = access.tenant_id
              AND refresh.user_id = access.user_id
              AND refresh.device_fingerprint = access.device_fingerprint
              AND refresh.token_type = 'REFRESH'
              AND refresh.revoked_reason IN ('LOGOUT', 'THEFT', 'ADMIN', 'SECURITY')
              AND refresh.revoked_at >= access.issued_at)
     ORDER BY access.tenant_id, access.token_id
     LIMIT $5
       FOR UPDATE OF access SKIP LOCKED
), revoked AS (
    UPDATE app.tokens AS t
       SET is_revoked = true, revoked_at = $1, revoked_reason = 'CASCADE', token_value = NULL
      FROM orphaned
     WHERE (t.tenant_id, t.token_id) = (orphaned.tenant_id, orphaned.token_id)
    RETURNING t.tenant_id, t.token_id, t.revoked_reason
)
SELECT tenant_id, revoked_reason AS what, count(*) AS rows, max(token_id) AS last_token
  FROM revoked
 GROUP BY tenant_id, revoked_reason
 ORDER BY tenant_id
