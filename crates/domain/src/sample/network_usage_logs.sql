-- After hours.sql. A quarter comes in, the rest goes out.
INSERT INTO app.network_usage_logs (tenant_id, created_at, bytes_in, bytes_out, duration_seconds,
                                    peak_bytes_per_second)
SELECT tenant_id, created_at, sent / 4, sent - sent / 4, round((5 + (dice >> 30 & 511))::numeric / 10, 1),
       sent * (3 + (dice >> 40 & 7)) / 3600
  FROM hourly
 CROSS JOIN LATERAL (SELECT network_bytes * percent / 100 AS sent) AS moved
 WHERE created_at < $5
 ORDER BY created_at, n;
