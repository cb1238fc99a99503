INSERT INTO app.projects (tenant_id, name, starts_on, planned_end_on)
SELECT tenant_id, ($3::text[])[1 + (dice & 1023) % cardinality($3::text[])] || ' 第' || k || '期',
       starts_on, CASE WHEN dice >> 20 & 7 > 0 THEN starts_on + 180 + (dice >> 24 & 511)::integer END
  FROM jsonb_to_recordset($1) AS tenant (n bigint, tenant_id bigint, projects integer)
 CROSS JOIN generate_series(1, projects) AS project (k)
 CROSS JOIN LATERAL (SELECT hashint8extended(k, hashint8extended(n, $2)) AS dice) AS thrown
 CROSS JOIN LATERAL (SELECT $4::text::date - 30 - (dice >> 10 & 511)::integer AS starts_on) AS begun
 ORDER BY n, k;
