-- The tenant's days of the month from $1 up to $2, each one, with what was measured; whether the day is whole, and
-- whether a contract covers it.
SELECT day::date AS day, d.active_users, d.logins, d.mails_sent, d.api_calls, d.storage_bytes,
       d.usage_date IS NOT NULL
       AND num_nulls(d.total_users, d.active_users, d.total_engineers, d.active_engineers, d.logins, d.mails_sent,
                     d.api_calls, d.feature_uses, d.storage_bytes) = 0 AS whole,
       EXISTS (SELECT FROM app.contracts c
                WHERE c.tenant_id = yakin.current_tenant() AND c.starts_on <= day::date
                  AND (c.ends_on IS NULL OR c.ends_on >= day::date)) AS expected
  FROM generate_series($1::date::timestamp, $2::date::timestamp - interval '1 day', interval '1 day') AS day
  LEFT JOIN app.company_usage_daily d ON d.tenant_id = yakin.current_tenant() AND d.usage_date = day::date
 ORDER BY day
 LIMIT 400
