-- After hours.sql. The broken row is the one on purpose: no processor gives seconds back.
INSERT INTO app.compute_usage_logs (tenant_id, created_at, cpu_seconds, cpu_percent, memory_mb, duration_seconds,
                                    process_id)
SELECT tenant_id, created_at,
       round(CASE WHEN broken THEN -spent_ms ELSE spent_ms END::numeric / 1000, 3),
       round(spent_ms::numeric / 36000 / (1 + cpu_ms * 4 / 3600000), 2),
       round(memory_mb::numeric * (80 + (dice >> 30 & 31) * 40 / 31) / 100, 1), 3600,
       1000 + n * 8 + (dice >> 40 & 3)
  FROM hourly
 CROSS JOIN LATERAL (SELECT cpu_ms * percent / 100 AS spent_ms) AS spent
 WHERE created_at < $5
 ORDER BY created_at, n;
