-- Makes the features of tenant $1 on day $2 what the last list among the objects $3 says; rows that say so already are
-- not touched, and without a list none is.
WITH list AS (
    SELECT layer.figures -> 'features' AS features
      FROM unnest($3::text[]::jsonb[]) WITH ORDINALITY AS layer (figures, place)
     WHERE layer.figures ? 'features'
     ORDER BY place DESC LIMIT 1
), fresh AS (
    SELECT feature_name, uses, users, total_seconds, mean_seconds
      FROM list, jsonb_to_recordset(features) AS feature (
           feature_name text, uses bigint, users bigint, total_seconds numeric, mean_seconds numeric)
), gone AS (
    DELETE FROM app.tenant_feature_usage
     WHERE tenant_id = $1 AND usage_date = $2 AND EXISTS (SELECT FROM list)
       AND feature_name NOT IN (SELECT feature_name FROM fresh)
    RETURNING feature_name
), written AS (
    INSERT INTO app.tenant_feature_usage AS recorded (tenant_id, usage_date, feature_name, uses, users, total_seconds,
                                                      mean_seconds)
    SELECT $1, $2, feature_name, uses, users, total_seconds, mean_seconds FROM fresh ORDER BY feature_name
        ON CONFLICT (tenant_id, usage_date, feature_name) DO UPDATE SET
           (uses, users, total_seconds, mean_seconds)
         = (excluded.uses, excluded.users, excluded.total_seconds, excluded.mean_seconds)
         WHERE (recorded.uses, recorded.users, recorded.total_seconds, recorded.mean_seconds)
            <> (excluded.uses, excluded.users, excluded.total_seconds, excluded.mean_seconds)
    RETURNING feature_name
)
SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM written)
