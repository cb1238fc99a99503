-- Forms of tenants' reports: of the tenants $1 (null = all), of the tenant of code $2, whose period begins from $3 up to
-- $4.
SELECT t.code AS tenant, r.tenant_id AS place, r.report_key, r.period_start, r.format, f.key, f.size_bytes, f.sha256,
       r.incomplete, r.created_at, r.run_id
  FROM app.reports r
  JOIN app.files f USING (tenant_id, file_id)
  JOIN app.tenants t USING (tenant_id)
 WHERE ($1::bigint[] IS NULL OR r.tenant_id = ANY ($1))
   AND ($2::text IS NULL OR t.code = $2)
   AND ($3::date IS NULL OR r.period_start >= $3 AND r.period_start < $4)
