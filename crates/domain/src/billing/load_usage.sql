SELECT usage_date, api_calls, storage_bytes, cpu_seconds, memory_mb_seconds,
       network_bytes_in + network_bytes_out AS network_bytes
  FROM app.tenant_usage_daily
 WHERE tenant_id = yakin.current_tenant() AND usage_date >= $1 AND usage_date < $2
 ORDER BY usage_date
 LIMIT 31
