-- After moments.sql. A session without a duration has not ended, or its end was never recorded.
INSERT INTO app.user_sessions (tenant_id, user_id, created_at, duration_seconds)
SELECT tenant_id, user_id, created_at,
       CASE WHEN value & 63 > 0 THEN 30 + ((value >> 8 & 1023) * (value >> 18 & 1023) * 14400 >> 20) END
  FROM moment
 WHERE created_at < $5
 ORDER BY created_at, n, k;
