INSERT INTO app.departments (tenant_id, name)
SELECT tenant_id, ($2::text[])[k]
  FROM jsonb_to_recordset($1) AS tenant (n bigint, tenant_id bigint, departments integer)
 CROSS JOIN generate_series(1, departments) AS department (k)
 ORDER BY n, k;
