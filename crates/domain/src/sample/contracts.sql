INSERT INTO app.contracts (tenant_id, starts_on, ends_on, max_storage_gb, monthly_api_limit)
SELECT tenant_id, starts_on, ends_on, round(storage_limit_mb / 1024.0, 2), api_limit
  FROM jsonb_to_recordset($1) AS tenant (
       n bigint, tenant_id bigint, starts_on date, ends_on date, storage_limit_mb bigint, api_limit bigint)
 ORDER BY n;
