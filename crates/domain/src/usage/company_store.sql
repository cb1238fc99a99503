-- Writes day $2 of tenant $1 for run $3 where it differs: what BATCH-204 and 301 recorded, else what was staged ($4, JSON
-- objects). Counters of a row that is there are counted again only with $5; gauges are filled where they are missing, at
-- $6, late if $7. Returns whether the row was written, and how many figures were taken over.
WITH staged AS (
    SELECT coalesce(jsonb_object_agg(figure.key, figure.value), '{}') AS figures
      FROM unnest($4::text[]::jsonb[]) AS source (figures), jsonb_each(source.figures) AS figure
), service AS (
    SELECT calls, active_users, storage_bytes FROM app.usage_statistics WHERE tenant_id = $1 AND usage_date = $2
), resource AS (
    SELECT logins, storage_bytes,
           coalesce((SELECT jsonb_object_agg(feature_name, uses) FROM app.tenant_feature_usage
                      WHERE tenant_id = $1 AND usage_date = $2), '{}') AS feature_uses
      FROM app.tenant_usage_daily WHERE tenant_id = $1 AND usage_date = $2
), people AS (
    SELECT (SELECT count(*) FROM app.users WHERE tenant_id = $1 AND status <> 'retired') AS users,
           count(*) AS engineers,
           count(*) FILTER (WHERE status IN ('working', 'waiting_soon')
                               OR engineer_id IN (SELECT changed::bigint FROM staged,
                                                  jsonb_array_elements_text(figures -> 'profiles_changed') AS changed))
               AS active_engineers
      FROM app.engineers WHERE tenant_id = $1 AND status <> 'retired' AND deleted_at IS NULL
), fresh AS (
    SELECT coalesce(service.active_users, (figures ->> 'active_users')::bigint) AS active_users,
           coalesce(service.calls, (figures ->> 'calls')::bigint) AS api_calls,
           coalesce(resource.logins, (figures ->> 'logins')::bigint) AS logins,
           coalesce(resource.feature_uses,
                    (SELECT coalesce(jsonb_object_agg(f ->> 'feature_name', f -> 'uses'), '{}')
                       FROM jsonb_array_elements(figures -> 'features') AS f
                     HAVING figures ? 'features')) AS feature_uses,
           (figures ->> 'mails_sent')::bigint AS mails_sent, (figures ->> 'approaches')::bigint AS approaches,
           coalesce(resource.storage_bytes, service.storage_bytes, (figures ->> 'storage_bytes')::bigint)
               AS storage_bytes,
           users, engineers, active_engineers,
           count(service.calls) OVER () * 2 + count(resource.logins) OVER () * 2
           + CASE WHEN coalesce(resource.storage_bytes, service.storage_bytes) IS NULL THEN 0 ELSE 1 END AS taken_over
      FROM staged CROSS JOIN people LEFT JOIN service ON true LEFT JOIN resource ON true
), merged AS (
    -- $5: the newer counter, else the one that is there; of gauges always the one that is there
    SELECT CASE WHEN $5 THEN coalesce(f.active_users, b.active_users) ELSE coalesce(b.active_users, f.active_users) END
               AS active_users,
           CASE WHEN $5 THEN coalesce(f.api_calls, b.api_calls) ELSE coalesce(b.api_calls, f.api_calls) END AS api_calls,
           CASE WHEN $5 THEN coalesce(f.logins, b.logins) ELSE coalesce(b.logins, f.logins) END AS logins,
           CASE WHEN $5 THEN coalesce(f.mails_sent, b.mails_sent) ELSE coalesce(b.mails_sent, f.mails_sent) END
               AS mails_sent,
           CASE WHEN $5 THEN coalesce(f.approaches, b.approaches) ELSE coalesce(b.approaches, f.approaches) END
               AS approaches,
           CASE WHEN $5 THEN coalesce(f.feature_uses, b.feature_uses) ELSE coalesce(b.feature_uses, f.feature_uses) END
               AS feature_uses,
           coalesce(b.total_users, f.users) AS total_users, coalesce(b.total_engineers, f.engineers) AS total_engineers,
           coalesce(b.active_engineers, f.active_engineers) AS active_engineers,
           coalesce(b.storage_bytes, f.storage_bytes) AS storage_bytes, coalesce(b.measured_at, $6) AS measured_at,
           coalesce(b.gauges_late, false)
           OR $7 AND num_nulls(b.total_users, b.total_engineers, b.active_engineers, b.storage_bytes) > 0 AS gauges_late
      FROM fresh f LEFT JOIN app.company_usage_daily b ON b.tenant_id = $1 AND b.usage_date = $2
), written AS (
    INSERT INTO app.company_usage_daily AS recorded (
           tenant_id, usage_date, total_users, active_users, total_engineers, active_engineers, logins, mails_sent,
           api_calls, feature_uses, storage_bytes, measured_at, gauges_late, approaches, run_id)
    SELECT $1, $2, total_users, active_users, total_engineers, active_engineers, logins, mails_sent, api_calls,
           feature_uses, storage_bytes, measured_at, gauges_late, approaches, $3
      FROM merged
        ON CONFLICT (tenant_id, usage_date) DO UPDATE SET
           (total_users, active_users, total_engineers, active_engineers, logins, mails_sent, api_calls, feature_uses,
            storage_bytes, measured_at, gauges_late, approaches, run_id)
         = (excluded.total_users, excluded.active_users, excluded.total_engineers, excluded.active_engineers,
            excluded.logins, excluded.mails_sent, excluded.api_calls, excluded.feature_uses, excluded.storage_bytes,
            excluded.measured_at, excluded.gauges_late, excluded.approaches, excluded.run_id)
         WHERE to_jsonb(recorded) - 'run_id' <> to_jsonb(excluded) - 'run_id'
    RETURNING usage_date
)
SELECT (SELECT count(*) FROM written) AS written, taken_over::bigint FROM fresh
