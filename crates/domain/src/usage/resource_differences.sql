-- The names of the figures in $3 (JSON objects, later ones win) that differ from the record of tenant $1 and day $2.
WITH figure AS (
    SELECT jsonb_object_agg(each.key, each.value ORDER BY place) AS figures
      FROM unnest($3::text[]::jsonb[]) WITH ORDINALITY AS layer (figures, place), jsonb_each(layer.figures) AS each
)
SELECT coalesce(string_agg(recorded.key, ', ' ORDER BY recorded.key), '')
  FROM app.tenant_usage_daily AS day, jsonb_each(to_jsonb(day)) AS recorded, figure
 WHERE tenant_id = $1 AND usage_date = $2 AND figures ? recorded.key AND figures -> recorded.key <> recorded.value
