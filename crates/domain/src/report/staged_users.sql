-- The tenant's distinct users from $2 up to $3 that run $1 staged, unless a single day is recorded with more.
SELECT users
  FROM (SELECT (figures ->> 'active_users')::bigint AS users FROM staging.usage_figures
         WHERE tenant_id = yakin.current_tenant() AND run_id = $1 AND source = 'month_users') AS staged
 WHERE users >= coalesce((SELECT max(active_users) FROM app.company_usage_daily
                           WHERE tenant_id = yakin.current_tenant() AND usage_date >= $2 AND usage_date < $3), 0)
