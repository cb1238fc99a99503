INSERT INTO app.tenant_status_history (tenant_id, since, status)
SELECT tenant_id, created_on::timestamp AT TIME ZONE 'Asia/Tokyo', 'active'
  FROM jsonb_to_recordset($1) AS tenant (tenant_id bigint, created_on date)
UNION ALL
SELECT tenant_id, status_since::timestamp AT TIME ZONE 'Asia/Tokyo', status
  FROM jsonb_to_recordset($1) AS tenant (tenant_id bigint, status_since date, status text)
 WHERE status_since IS NOT NULL;
