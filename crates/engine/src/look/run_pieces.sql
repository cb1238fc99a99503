-- What runs did for their tenants themselves, without their other phases.
SELECT t.run_id, sum(t.rows_written)::bigint AS rows_written,
       sum(t.amount) FILTER (WHERE t.currency = 'JPY') AS amount_yen,
       (SELECT coalesce(jsonb_object_agg(key, total), '{}')
          FROM (SELECT c.key, sum(c.value::numeric) AS total
                  FROM yakin.run_tenants p, jsonb_each_text(p.counts) AS c
                 WHERE p.run_id = t.run_id GROUP BY c.key) AS counted) AS counts,
       array_agg(t.plan ORDER BY t.tenant_id) FILTER (WHERE t.plan IS NOT NULL) AS plans
  FROM yakin.run_tenants t
 WHERE t.run_id = ANY ($1)
 GROUP BY t.run_id
