UPDATE app.tenant_usage_daily
   SET (estimate_month_to_date, estimate_currency, estimate_missing) = ($3, $4, $5)
 WHERE tenant_id = $1 AND usage_date = $2
   AND (estimate_month_to_date, estimate_currency, estimate_missing) IS DISTINCT FROM ($3, $4, $5)
