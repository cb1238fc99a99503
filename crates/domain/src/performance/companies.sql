-- What each company called on each day of [$1, $2).
SELECT t.code, t.name, d.usage_date, sum(d.requests)::bigint AS requests, sum(d.server_errors)::bigint AS server_errors,
       sum(d.rejected)::bigint AS rejected
  FROM app.endpoint_days d JOIN app.tenants t USING (tenant_id)
 WHERE d.usage_date >= $1 AND d.usage_date < $2
 GROUP BY t.tenant_id, t.code, t.name, d.usage_date
 ORDER BY t.tenant_id, d.usage_date
 LIMIT 100000
