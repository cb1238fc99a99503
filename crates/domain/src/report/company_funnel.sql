-- What came of the letters of the tenant's standing offers that were sent in the months with first days $1, as DAILY_002
-- counted it last. A month without any such day is no row; openings are null where none of its days was tracked, and
-- `tracked` are the letters of those that were.
SELECT first, count(*) AS days, sum(sent)::bigint AS sent, sum(accepted)::bigint AS accepted,
       sum(opened)::bigint AS opened, sum(sent) FILTER (WHERE opened IS NOT NULL)::bigint AS tracked,
       sum(replied)::bigint AS replied, sum(met)::bigint AS met, sum(contracted)::bigint AS contracted
  FROM unnest($1::date[]) AS month (first)
  JOIN app.approach_metrics_daily
    ON tenant_id = yakin.current_tenant() AND sent_on >= first AND sent_on < (first + interval '1 month')::date
 GROUP BY first
 ORDER BY first
