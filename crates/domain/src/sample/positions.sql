INSERT INTO app.positions (tenant_id, name)
SELECT tenant_id, ($2::text[])[k]
  FROM jsonb_to_recordset($1) AS tenant (n bigint, tenant_id bigint, positions integer)
 CROSS JOIN generate_series(1, positions) AS position_ (k)
 ORDER BY n, k;
