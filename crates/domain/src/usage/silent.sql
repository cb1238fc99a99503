-- Of the tenants $2, those without any event on day $1 that had at least $4 on each of the days $3.
WITH event AS (
    SELECT tenant_id, usage_date,
           api_calls + logins + mails_sent
           + (SELECT coalesce(sum(value::bigint), 0) FROM jsonb_each_text(feature_uses)) AS events
      FROM app.company_usage_daily
     WHERE tenant_id = ANY ($2) AND (usage_date = $1 OR usage_date = ANY ($3))
)
SELECT tenant_id
  FROM event
 GROUP BY tenant_id
HAVING bool_or(usage_date = $1 AND events = 0)
   AND count(*) FILTER (WHERE usage_date <> $1 AND events >= $4) = cardinality($3)
 ORDER BY tenant_id
