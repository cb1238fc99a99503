-- Writes the sending days of tenant $1 up to $2 for run $3 at $5, where they differ from what was staged ($4, JSON
-- objects): the day itself, the days with offers, and those that have a row. Openings only of days that are tracked.
-- Returns how many rows were written, and how many events name a letter that was never asked for.
WITH staged AS (
    SELECT coalesce(jsonb_object_agg(figure.key, figure.value), '{}') AS figures
      FROM unnest($4::text[]::jsonb[]) AS source (figures), jsonb_each(source.figures) AS figure
), cohort AS (
    SELECT c.sent_on, c.approaches, c.sent, c.accepted, c.opened, c.replied, c.met, c.contracted
      FROM staged, jsonb_to_recordset(figures -> 'cohorts') AS c (
           sent_on date, approaches bigint, sent bigint, accepted bigint, opened bigint, replied bigint, met bigint,
           contracted bigint)
), known AS (
    SELECT $2::date AS sent_on
     UNION
    SELECT sent_on FROM cohort
     UNION
    SELECT sent_on FROM app.approach_metrics_daily
     WHERE tenant_id = $1 AND sent_on BETWEEN $2::date - 30 AND $2
), written AS (
    INSERT INTO app.approach_metrics_daily AS recorded (
           tenant_id, sent_on, approaches, sent, accepted, opened, replied, met, contracted, refreshed_at, run_id)
    SELECT $1, sent_on, coalesce(approaches, 0), coalesce(sent, 0), coalesce(accepted, 0),
           CASE WHEN tracked.days @> sent_on THEN coalesce(opened, 0) END, coalesce(replied, 0), coalesce(met, 0),
           coalesce(contracted, 0), $5, $3
      FROM known LEFT JOIN cohort USING (sent_on)
     CROSS JOIN (SELECT opens_tracked AS days FROM app.tenants WHERE tenant_id = $1) AS tracked
     ORDER BY sent_on
        ON CONFLICT (tenant_id, sent_on) DO UPDATE SET
           (approaches, sent, accepted, opened, replied, met, contracted, refreshed_at, run_id)
         = (excluded.approaches, excluded.sent, excluded.accepted, excluded.opened, excluded.replied, excluded.met,
            excluded.contracted, excluded.refreshed_at, excluded.run_id)
         WHERE to_jsonb(recorded) - '{refreshed_at, run_id}'::text[]
               <> to_jsonb(excluded) - '{refreshed_at, run_id}'::text[]
    RETURNING sent_on
)
SELECT (SELECT count(*) FROM written), coalesce((SELECT (figures ->> 'letters_unknown')::bigint FROM staged), 0)
