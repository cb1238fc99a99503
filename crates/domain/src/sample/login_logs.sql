-- After moments.sql.
INSERT INTO app.login_logs (tenant_id, user_id, created_at, succeeded)
SELECT tenant_id, user_id, created_at, value & 31 > 1
  FROM moment
 WHERE created_at < $5
 ORDER BY created_at, n, k;
