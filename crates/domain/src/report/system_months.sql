-- The service's months with first days $1, from its days: counters summed, gauges as peak and month's end, means weighted
-- by what they are means of. A month without any day is no row.
WITH month AS (
    SELECT first, (first + interval '1 month')::date AS next FROM unnest($1::date[]) AS m (first)
), sum AS (
    -- what the service's line does not carry is summed from the companies' days
    SELECT m.first, sum(c.logins)::bigint AS logins, sum(c.api_calls)::bigint AS api_calls,
           sum(c.mails_sent)::bigint AS mails_sent
      FROM month m JOIN app.company_usage_daily c ON c.usage_date >= m.first AND c.usage_date < m.next
     GROUP BY m.first
), person AS (
    -- a person belongs to one company: distinct people of companies add up, where all of them are counted
    SELECT m.first, count(u.tenant_id) AS counted, sum(u.active_users)::bigint AS active_users,
           (SELECT count(DISTINCT tenant_id) FROM app.contracts
             WHERE starts_on < m.next AND (ends_on IS NULL OR ends_on >= m.first)) AS companies
      FROM month m LEFT JOIN app.company_usage_monthly u ON u.month = m.first
     GROUP BY m.first, m.next
)
SELECT m.first, count(*) AS days,
       max(d.total_companies) FILTER (WHERE d.usage_date = m.next - 1) AS companies_end,
       max(d.total_users) FILTER (WHERE d.usage_date = m.next - 1) AS users_end, max(d.total_users) AS users_peak,
       round(avg(d.active_users), 1) AS active_users_mean,
       max(d.total_engineers) FILTER (WHERE d.usage_date = m.next - 1) AS engineers_end,
       max(d.total_engineers) AS engineers_peak,
       sum(d.requests)::bigint AS requests, sum(d.server_errors)::bigint AS server_errors,
       sum(d.response_ms_mean * d.requests) / nullif(sum(d.requests) FILTER (WHERE d.response_ms_mean IS NOT NULL), 0)
           AS response_ms_mean,
       max(d.response_ms_p95)::bigint AS response_ms_p95_highest,
       sum(d.probes)::bigint AS probes, sum(d.probes_good)::bigint AS probes_good,
       max(s.logins) AS logins, max(s.api_calls) AS api_calls, max(s.mails_sent) AS mails_sent,
       max(p.active_users) FILTER (WHERE p.counted >= p.companies) AS active_users
  FROM month m
  JOIN app.system_stats_daily d ON d.usage_date >= m.first AND d.usage_date < m.next
  LEFT JOIN sum s ON s.first = m.first
  LEFT JOIN person p ON p.first = m.first
 GROUP BY m.first, m.next
 ORDER BY m.first
