-- What was done with engineers' profiles and skillsheets between $1 and $2, and whose profiles were changed.
SELECT coalesce(tenant_id, 0) AS tenant_id,
       jsonb_build_object(
           'profile_updates', count(*) FILTER (WHERE action = 'profile_updated'),
           'sheets_viewed', count(*) FILTER (WHERE action = 'sheet_viewed'),
           'sheets_downloaded', count(*) FILTER (WHERE action = 'sheet_downloaded'),
           'engineers_seen', count(DISTINCT engineer_id),
           'profiles_changed', coalesce(jsonb_agg(DISTINCT engineer_id)
               FILTER (WHERE action = 'profile_updated' AND engineer_id IS NOT NULL), '[]'))::text AS figures,
       count(*) AS rows_counted,
       (SELECT count(*) FROM app.engineer_activity_logs WHERE created_at >= $1 AND created_at < $2) AS rows_in_source,
       NULL::text AS impossible
  FROM app.engineer_activity_logs
 WHERE created_at >= $1 AND created_at < $2
 GROUP BY 1
 ORDER BY 1
