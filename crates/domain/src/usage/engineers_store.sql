-- Writes what was done with tenant $1's engineers on day $2 (from $6 to $7) for run $3: what was staged ($4, JSON
-- objects), and the changes of their states. A row that is there is counted again only with $5.
WITH staged AS (
    SELECT coalesce(jsonb_object_agg(figure.key, figure.value), '{}') AS figures
      FROM unnest($4::text[]::jsonb[]) AS source (figures), jsonb_each(source.figures) AS figure
), change AS (
    SELECT count(*) AS changes, count(*) FILTER (WHERE to_status = 'working') AS to_working,
           count(*) FILTER (WHERE to_status = 'waiting_soon') AS to_waiting_soon,
           count(*) FILTER (WHERE to_status = 'waiting') AS to_waiting
      FROM app.engineer_status_history WHERE tenant_id = $1 AND changed_at >= $6 AND changed_at < $7
)
INSERT INTO app.engineer_activity_daily AS recorded (
       tenant_id, usage_date, profile_updates, sheets_viewed, sheets_downloaded, engineers_seen, status_changes,
       to_working, to_waiting_soon, to_waiting, run_id)
SELECT $1, $2, (figures ->> 'profile_updates')::bigint, (figures ->> 'sheets_viewed')::bigint,
       (figures ->> 'sheets_downloaded')::bigint, (figures ->> 'engineers_seen')::bigint, changes, to_working,
       to_waiting_soon, to_waiting, $3
  FROM staged, change
    ON CONFLICT (tenant_id, usage_date) DO UPDATE SET
       (profile_updates, sheets_viewed, sheets_downloaded, engineers_seen, status_changes, to_working, to_waiting_soon,
        to_waiting, run_id)
     = (excluded.profile_updates, excluded.sheets_viewed, excluded.sheets_downloaded, excluded.engineers_seen,
        excluded.status_changes, excluded.to_working, excluded.to_waiting_soon, excluded.to_waiting, excluded.run_id)
     WHERE $5 AND to_jsonb(recorded) - 'run_id' <> to_jsonb(excluded) - 'run_id'
