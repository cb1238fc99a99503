-- The tenant's ten most used features between $1 and $2, and their uses in the month before, from $3 up to $1.
SELECT feature.key AS feature, sum(feature.value::bigint) FILTER (WHERE d.usage_date >= $1)::bigint AS uses,
       sum(feature.value::bigint) FILTER (WHERE d.usage_date < $1)::bigint AS uses_before
  FROM app.company_usage_daily d, jsonb_each_text(d.feature_uses) AS feature
 WHERE d.tenant_id = yakin.current_tenant() AND d.usage_date >= $3 AND d.usage_date < $2
 GROUP BY feature.key
HAVING count(*) FILTER (WHERE d.usage_date >= $1) > 0
 ORDER BY uses DESC, feature
 LIMIT 10
