-- The recorded days from $1 up to $2. A day of which a figure was never measured is not there.
SELECT usage_date, total_users AS users, total_engineers AS engineers
  FROM app.company_usage_daily
 WHERE tenant_id = yakin.current_tenant() AND usage_date >= $1 AND usage_date < $2
   AND total_users IS NOT NULL AND total_engineers IS NOT NULL
 ORDER BY usage_date
 LIMIT 31
