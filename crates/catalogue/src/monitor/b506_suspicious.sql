-- Live sessions to report: the device changed under the session, or its user was live in three
-- networks or more (/24, /48) within ten minutes.
-- $1 now · $2 idle limit and $3 greatest age in seconds · $4 the greatest number of sessions
WITH live AS ( -- a user's newest hundred: the join below stays small whatever an attacker opens
    SELECT token_id, user_id, last_use, device_changed, network
      FROM (SELECT token_id, user_id, coalesce(last_used_at, issued_at) AS last_use,
                   coalesce(device_fingerprint <> first_fingerprint, false) AS device_changed,
                   network(set_masklen(client_ip, CASE family(client_ip)
                                                  WHEN 4 THEN 24 ELSE 48 END)) AS network,
                   row_number() OVER (
                       PARTITION BY user_id
                       ORDER BY coalesce(last_used_at, issued_at) DESC, token_id DESC) AS place
              FROM app.tokens
             WHERE NOT is_revoked
               AND token_type = 'SESSION'
               AND (expires_at > $1) IS NOT FALSE
               AND (coalesce(last_used_at, issued_at) > $1 - $2 * interval '1 second') IS NOT FALSE
               AND (issued_at > $1 - $3 * interval '1 second') IS NOT FALSE) AS sessions
     WHERE device_changed OR place <= 100
), spread AS ( -- for each session: those of its user in the ten minutes up to its last use
    SELECT array_agg(other.token_id) AS token_ids
      FROM live
      JOIN live AS other
        ON other.user_id = live.user_id
       AND other.last_use BETWEEN live.last_use - interval '10 minutes' AND live.last_use
     GROUP BY live.token_id
    HAVING count(DISTINCT other.network) >= 3
)
SELECT token_id, user_id, network::text AS network, device_changed
  FROM live
 WHERE device_changed OR token_id IN (SELECT unnest(token_ids) FROM spread)
 ORDER BY user_id, token_id
 LIMIT $4
