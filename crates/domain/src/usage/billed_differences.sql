-- What the staged figures of billed days ($2) differ by from the record and its corrections so far; written as a
-- correction when $3 says so. Only what can be added up: counts, seconds and bytes. What lay in the storage is measured
-- from BATCH-301's row: that is what invoices are priced from, and it may have seen a file that came between the two.
WITH fresh AS (
    SELECT tenant_id, usage_date, figure.key, figure.value::numeric AS value
      FROM staging.usage_figures, jsonb_each_text(figures) AS figure
     WHERE run_id = $1 AND usage_date = ANY ($2)
       AND figure.key NOT IN ('response_ms_mean', 'response_ms_p95', 'response_ms_max')
), billed AS (
    SELECT tenant_id, usage_date, figure.key, figure.value AS value
      FROM app.usage_statistics AS recorded
      LEFT JOIN (SELECT tenant_id, usage_date,
                        jsonb_build_object('storage_bytes', storage_bytes, 'files', storage_files) AS stored
                   FROM app.tenant_usage_daily) AS priced USING (tenant_id, usage_date),
           LATERAL jsonb_each_text(to_jsonb(recorded) || coalesce(stored, '{}')) AS figure
     WHERE usage_date = ANY ($2)
    UNION ALL
    SELECT tenant_id, usage_date, figure.key, figure.value
      FROM app.usage_corrections, jsonb_each_text(differences) AS figure
     WHERE usage_date = ANY ($2)
), difference AS (
    SELECT tenant_id, usage_date, jsonb_object_agg(key, value) AS differences
      FROM (SELECT fresh.tenant_id, fresh.usage_date, fresh.key, fresh.value - coalesce(sum(billed.value::numeric), 0)
                   AS value
              FROM fresh LEFT JOIN billed USING (tenant_id, usage_date, key)
             GROUP BY fresh.tenant_id, fresh.usage_date, fresh.key, fresh.value) AS figure
     WHERE value <> 0
     GROUP BY tenant_id, usage_date
), correction AS (
    INSERT INTO app.usage_corrections (tenant_id, usage_date, revision, calls_difference, storage_bytes_difference,
                                       differences, run_id)
    SELECT tenant_id, usage_date,
           1 + (SELECT coalesce(max(revision), 0) FROM app.usage_corrections AS earlier
                 WHERE (earlier.tenant_id, earlier.usage_date) = (difference.tenant_id, difference.usage_date)),
           coalesce((differences ->> 'calls')::bigint, 0), coalesce((differences ->> 'storage_bytes')::bigint, 0),
           differences, $1
      FROM difference WHERE $3
)
SELECT usage_date, differences FROM difference ORDER BY usage_date
