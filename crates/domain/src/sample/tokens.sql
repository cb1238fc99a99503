-- For six in eight users two access tokens, a refresh token and one or two sessions; one user in 64 has thirteen
-- sessions (surplus), another one in 64 uses three networks at once. Among them: expired minutes and days ago,
-- without an expiry, without any date (malformed), revoked on purpose, idle, with a changed device, of disabled users.
-- The networks are those reserved for documentation and private use.
INSERT INTO app.tokens (tenant_id, user_id, token_type, token_value, token_hash, issued_at, last_used_at, expires_at,
                        is_revoked, revoked_at, revoked_reason, client_ip, device_fingerprint, first_fingerprint)
SELECT tenant_id, user_id, token_type, CASE WHEN reason IS NULL THEN secret END,
       encode(sha256(convert_to(secret, 'UTF8')), 'hex'),
       CASE WHEN NOT malformed THEN issued_at END,
       CASE WHEN token_type <> 'SESSION' THEN issued_at WHEN dice >> 40 & 15 > 0 THEN used_at END,
       CASE WHEN malformed OR dice >> 44 & 31 = 0 THEN NULL
            WHEN token_type = 'ACCESS' THEN issued_at + interval '1 hour'
            WHEN token_type = 'REFRESH' THEN issued_at + interval '30 days'
            ELSE issued_at + interval '24 hours' END,
       reason IS NOT NULL,
       CASE WHEN reason IS NOT NULL THEN greatest(used_at, issued_at) END, reason,
       CASE WHEN roaming THEN (ARRAY['192.0.2.', '198.51.100.', '203.0.113.'])[1 + slot % 3] || 1 + user_id % 250
            ELSE '10.' || tenant_id % 250 || '.' || user_id / 250 % 250 || '.' || 1 + user_id % 250 END::inet,
       device, CASE WHEN token_type = 'SESSION' AND dice >> 49 & 63 = 0 THEN md5(device) ELSE device END
  FROM app.users
  JOIN app.tenants USING (tenant_id)
 CROSS JOIN LATERAL (SELECT hashint8extended(user_id, $1) AS habit) AS known
 CROSS JOIN LATERAL (SELECT habit & 63 = 0 AS crowded, habit & 63 = 1 AS roaming) AS habits
 CROSS JOIN generate_series(1, CASE WHEN crowded THEN 16 WHEN roaming THEN 6 ELSE 4 + (habit >> 9 & 1)::integer END)
         AS held (slot)
 CROSS JOIN LATERAL (SELECT hashint8extended(slot, habit) AS dice,
                            CASE WHEN slot <= 2 THEN 'ACCESS' WHEN slot = 3 THEN 'REFRESH'
                                 ELSE 'SESSION' END AS token_type,
                            md5(user_id || '/' || slot % 2 || '/' || $1) AS device,
                            'sample-' || md5(user_id || ':' || slot || ':' || $1) AS secret) AS thrown
 CROSS JOIN LATERAL (SELECT token_type <> 'SESSION' AND dice >> 33 & 127 = 0 AS malformed,
       $2 - interval '1 second' * CASE
            WHEN token_type = 'REFRESH' THEN (dice & 4194303) % 3456000
            WHEN token_type = 'SESSION' AND (crowded OR roaming) THEN 1800 + (dice & 4095)
            WHEN dice >> 22 & 15 = 0 THEN 90000 + (dice & 262143)
            ELSE (dice & 8191) * 5400 >> 13 END AS issued_at) AS begun
 CROSS JOIN LATERAL (SELECT CASE WHEN crowded OR roaming THEN $2 - slot * interval '31 seconds'
                                 ELSE issued_at + ($2 - issued_at) * (dice >> 26 & 7)::integer / 7 END AS used_at,
       CASE WHEN dice >> 55 & 15 > 0 THEN NULL
            WHEN token_type = 'ACCESS' THEN 'LOGOUT'
            WHEN token_type = 'REFRESH' THEN (ARRAY['LOGOUT', 'LOGOUT', 'THEFT', 'ADMIN'])[1 + (dice >> 59 & 3)]
            ELSE (ARRAY['LOGOUT', 'LIMIT', 'SECURITY', 'ADMIN'])[1 + (dice >> 59 & 3)] END AS reason) AS later
 WHERE habit >> 6 & 7 < 6 AND tenants.status <> 'closed' AND users.created_at < $2
 ORDER BY issued_at, user_id, slot;
