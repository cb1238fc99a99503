-- Whether a day that was counted before (instants $1 to $2, day $3) has other rows by now than its records say, of the
-- tenants $4 that it is counted for: a bare count by tenant, so that days without late rows cost little.
WITH present AS (
    SELECT tenant_id, 'calls' AS figure, count(*)::numeric AS value
      FROM app.api_call_logs WHERE created_at >= $1 AND created_at < $2 GROUP BY tenant_id
    UNION ALL
    SELECT tenant_id, figure, value
      FROM (SELECT tenant_id, count(*)::numeric AS sessions, coalesce(sum(duration_seconds), 0) AS session_seconds
              FROM app.user_sessions WHERE created_at >= $1 AND created_at < $2 GROUP BY tenant_id) AS session,
           LATERAL (VALUES ('sessions', sessions), ('session_seconds', session_seconds)) AS each (figure, value)
    UNION ALL
    SELECT tenant_id, figure, value
      FROM (SELECT tenant_id, count(*)::numeric AS generated,
                   count(*) FILTER (WHERE status = 'completed') AS completed
              FROM app.report_generation_logs WHERE created_at >= $1 AND created_at < $2 GROUP BY tenant_id) AS report,
           LATERAL (VALUES ('reports_generated', generated), ('reports_completed', completed)) AS each (figure, value)
    UNION ALL
    SELECT tenant_id, figure, value
      FROM (SELECT tenant_id, count(*)::numeric AS files, sum(size_bytes) AS bytes
              FROM app.files WHERE created_at < $2 AND (deleted_at IS NULL OR deleted_at >= $2) GROUP BY tenant_id)
               AS file,
           LATERAL (VALUES ('files', files), ('storage_bytes', bytes)) AS each (figure, value)
), recorded AS (
    SELECT tenant_id, figure, value
      FROM app.usage_statistics AS day,
           LATERAL (VALUES ('calls', day.calls::numeric), ('sessions', day.sessions),
                           ('session_seconds', day.session_seconds), ('reports_generated', day.reports_generated),
                           ('reports_completed', day.reports_completed), ('files', day.files),
                           ('storage_bytes', day.storage_bytes)) AS each (figure, value)
     WHERE usage_date = $3
), present_of_tenants AS (
    SELECT tenant_id, figure, value FROM present
     WHERE value <> 0 AND tenant_id = ANY ($4)
), recorded_of_tenants AS (
    SELECT tenant_id, figure, value FROM recorded WHERE value <> 0 AND tenant_id = ANY ($4)
)
SELECT EXISTS (SELECT FROM recorded)
   AND (EXISTS (SELECT tenant_id, figure, value FROM present_of_tenants
                EXCEPT SELECT tenant_id, figure, value FROM recorded_of_tenants)
        OR EXISTS (SELECT tenant_id, figure, value FROM recorded_of_tenants
                   EXCEPT SELECT tenant_id, figure, value FROM present_of_tenants))
