-- Raises and re-arms the alerts of tenant $1 after day $2 of the month that began on $3; $4 is the same day a month
-- earlier, $5 the difference in money up to which costs are no anomaly. $6 to $11 are the levels: kind, level, percent,
-- audience (comma-separated), text in Japanese and in English. Only the newest day says how the storage, a gauge, stands.
WITH level AS (
    SELECT kind, level, threshold, string_to_array(audience, ',') AS audience,
           CASE language WHEN 'en' THEN english ELSE japanese END AS text
      FROM app.tenants, unnest($6::text[], $7::text[], $8::numeric[], $9::text[], $10::text[], $11::text[])
                        AS each (kind, level, threshold, audience, japanese, english)
     WHERE tenant_id = $1
), quota AS (
    -- no limit, or 0, is unlimited; several contracts add up
    SELECT CASE WHEN bool_and(coalesce(max_storage_gb, 0) > 0) THEN sum(max_storage_gb) * 1073741824 END AS bytes,
           CASE WHEN bool_and(coalesce(monthly_api_limit, 0) > 0) THEN sum(monthly_api_limit) END AS calls
      FROM app.contracts
     WHERE tenant_id = $1 AND starts_on <= $2 AND (ends_on IS NULL OR ends_on >= $2)
), today AS (
    SELECT storage_bytes, estimate_month_to_date AS cost, estimate_currency AS currency
      FROM app.tenant_usage_daily
     WHERE tenant_id = $1 AND usage_date = $2
), reading AS (
    SELECT 'storage' AS kind, storage_bytes * 100 / bytes AS percent
      FROM today, quota
     WHERE NOT EXISTS (SELECT FROM app.tenant_usage_daily WHERE tenant_id = $1 AND usage_date > $2)
    UNION ALL
    SELECT 'api', sum(api_calls) * 100 / max(calls)
      FROM app.tenant_usage_daily, quota
     WHERE tenant_id = $1 AND usage_date >= $3 AND usage_date <= $2
    UNION ALL
    SELECT 'cost', today.cost * 100 / nullif(before.estimate_month_to_date, 0)
      FROM today JOIN app.tenant_usage_daily AS before
           ON before.tenant_id = $1 AND before.usage_date = $4 AND before.estimate_currency = today.currency
     WHERE today.cost - before.estimate_month_to_date > $5
), rearmed AS (
    UPDATE app.usage_alerts AS alert SET rearmed_on = $2
      FROM reading JOIN level USING (kind)
     WHERE alert.tenant_id = $1 AND alert.kind = 'storage' AND alert.kind = reading.kind AND alert.level = level.level
       AND alert.rearmed_on IS NULL AND reading.percent <= threshold - 5
    RETURNING alert.kind, alert.level
), raised AS (
    INSERT INTO app.usage_alerts (tenant_id, kind, level, month, usage_date, percent, message, audience)
    SELECT $1, kind, level, $3, $2, round(percent, 1), format(text, round(percent, 1), $2), audience
      FROM reading JOIN level USING (kind)
     WHERE percent > threshold
     ORDER BY kind, threshold
        ON CONFLICT DO NOTHING
    RETURNING kind, level, percent, audience
)
SELECT kind, level, percent::text AS percent, audience FROM raised ORDER BY kind, level
