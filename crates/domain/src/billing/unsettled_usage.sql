-- Days whose calls BATCH-204 has changed and BATCH-301 has not taken over yet.
SELECT usage_date
  FROM app.tenant_usage_daily JOIN app.usage_statistics USING (tenant_id, usage_date)
 WHERE tenant_id = yakin.current_tenant() AND usage_date >= $1 AND usage_date < $2 AND calls <> api_calls
 ORDER BY usage_date
 LIMIT 31
