-- Corrections of the days $1 .. $2, those an invoice has settled ($3) or those still open.
SELECT usage_date, revision, calls_difference, storage_bytes_difference
  FROM app.usage_corrections
 WHERE tenant_id = yakin.current_tenant() AND usage_date >= $1 AND usage_date < $2
   AND (settled_by_invoice IS NOT NULL) = $3
 ORDER BY usage_date, revision
 LIMIT 10000
