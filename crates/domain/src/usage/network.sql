-- Bytes and connections between $1 and $2.
WITH figure AS (
    SELECT coalesce(tenant_id, 0) AS tenant_id, count(*) AS connections, sum(bytes_in) AS bytes_in,
           sum(bytes_out) AS bytes_out, round(avg(duration_seconds), 3) AS seconds_mean,
           max(peak_bytes_per_second) AS peak,
           min(least(bytes_in, bytes_out, peak_bytes_per_second, duration_seconds)) AS least,
           max(duration_seconds) AS longest
      FROM app.network_usage_logs WHERE created_at >= $1 AND created_at < $2
     GROUP BY 1
)
SELECT tenant_id,
       jsonb_build_object('network_bytes_in', bytes_in, 'network_bytes_out', bytes_out, 'connections', connections,
                          'connection_seconds_mean', seconds_mean, 'peak_bytes_per_second', peak)::text AS figures,
       connections AS rows_counted,
       (SELECT count(*) FROM app.network_usage_logs WHERE created_at >= $1 AND created_at < $2) AS rows_in_source,
       CASE WHEN least < 0 THEN 'network_usage_logs has ' || least
            WHEN longest >= 'Infinity' THEN 'network_usage_logs has duration_seconds ' || longest END AS impossible
  FROM figure
 ORDER BY tenant_id
