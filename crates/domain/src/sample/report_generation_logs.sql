-- After moments.sql.
INSERT INTO app.report_generation_logs (tenant_id, user_id, created_at, status)
SELECT tenant_id, user_id, created_at,
       CASE WHEN value & 63 < 59 THEN 'completed' WHEN value & 63 < 62 THEN 'failed' ELSE 'processing' END
  FROM moment
 WHERE created_at < $5
 ORDER BY created_at, n, k;
