-- CPU and memory used between $1 and $2; means are weighted by the measured time.
WITH process AS (
    SELECT tenant_id, process_id >> 6 AS block, bit_or(1::bigint << (process_id & 63)) AS processes, count(*) AS rows,
           sum(cpu_seconds) AS cpu_seconds, sum(cpu_percent * duration_seconds) AS cpu_percent_seconds,
           sum(memory_mb * duration_seconds) AS memory_mb_seconds, sum(duration_seconds) AS seconds,
           max(cpu_percent) AS cpu_percent_peak, max(memory_mb) AS memory_mb_peak,
           min(least(cpu_seconds, cpu_percent, memory_mb, duration_seconds)) AS least,
           max(greatest(cpu_seconds, cpu_percent, memory_mb, duration_seconds)) AS greatest
      FROM app.compute_usage_logs WHERE created_at >= $1 AND created_at < $2
     GROUP BY tenant_id, block
), figure AS (
    SELECT coalesce(tenant_id, 0) AS tenant_id, sum(rows)::bigint AS rows, sum(cpu_seconds) AS cpu_seconds,
           round(sum(cpu_percent_seconds) / nullif(sum(seconds), 0), 3) AS cpu_percent_mean,
           max(cpu_percent_peak) AS cpu_percent_peak, sum(memory_mb_seconds) AS memory_mb_seconds,
           max(memory_mb_peak) AS memory_mb_peak, sum(bit_count(processes::bit(64))) AS processes,
           min(least) AS least, max(greatest) AS greatest
      FROM process GROUP BY tenant_id
)
SELECT tenant_id,
       jsonb_strip_nulls(jsonb_build_object(
           'cpu_seconds', cpu_seconds, 'cpu_percent_mean', cpu_percent_mean, 'cpu_percent_peak', cpu_percent_peak,
           'memory_mb_seconds', memory_mb_seconds, 'memory_mb_peak', memory_mb_peak, 'processes', processes))::text
           AS figures,
       rows AS rows_counted,
       (SELECT count(*) FROM app.compute_usage_logs WHERE created_at >= $1 AND created_at < $2) AS rows_in_source,
       CASE WHEN least < 0 THEN 'compute_usage_logs has ' || least
            WHEN greatest >= 'Infinity' THEN 'compute_usage_logs has ' || greatest END AS impossible
  FROM figure
 ORDER BY tenant_id
