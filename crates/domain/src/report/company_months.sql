-- The tenant's months with first days $1, from its days: counters summed, gauges as peak, mean and month's end. A month
-- without any day is no row; what was never measured is null.
WITH month AS (
    SELECT first, (first + interval '1 month')::date AS next FROM unnest($1::date[]) AS m (first)
), day AS (
    SELECT m.first, m.next, d.usage_date, d.total_users, d.active_users, d.total_engineers, d.active_engineers, d.logins,
           d.mails_sent, d.api_calls, d.storage_bytes, d.gauges_late
      FROM month m
      JOIN app.company_usage_daily d
        ON d.tenant_id = yakin.current_tenant() AND d.usage_date >= m.first AND d.usage_date < m.next
)
SELECT first, count(*) AS days, count(*) FILTER (WHERE gauges_late) AS late_days,
       max(total_users) FILTER (WHERE usage_date = next - 1) AS users_end, max(total_users) AS users_peak,
       round(avg(active_users), 1) AS active_users_mean,
       (SELECT active_users FROM app.company_usage_monthly
         WHERE tenant_id = yakin.current_tenant() AND month = first) AS active_users,
       max(total_engineers) FILTER (WHERE usage_date = next - 1) AS engineers_end,
       max(total_engineers) AS engineers_peak, round(avg(active_engineers), 1) AS active_engineers_mean,
       sum(logins)::bigint AS logins, sum(mails_sent)::bigint AS mails_sent, sum(api_calls)::bigint AS api_calls,
       max(storage_bytes)::numeric AS storage_peak, avg(storage_bytes) AS storage_mean,
       max(storage_bytes) FILTER (WHERE usage_date = next - 1)::numeric AS storage_end
  FROM day
 GROUP BY first, next
 ORDER BY first
