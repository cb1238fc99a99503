-- Writes the tenant's staged days of run $1 where a figure differs from what is recorded, and returns them. A billed day
-- never changes. A new row of a day before $2 is final at once.
WITH day AS (
    SELECT tenant_id, usage_date, jsonb_object_agg(figure.key, figure.value) AS figures
      FROM staging.usage_figures, jsonb_each(figures) AS figure
     WHERE run_id = $1
     GROUP BY tenant_id, usage_date
)
INSERT INTO app.usage_statistics AS recorded (
       tenant_id, usage_date, calls, call_users, successful, client_errors, server_errors, response_ms_sum,
       response_ms_mean, response_ms_p95, response_ms_max, request_bytes, response_bytes, storage_bytes, files,
       reports_generated, reports_completed, report_users, sessions, session_seconds, active_users, state, run_id)
SELECT day.tenant_id, day.usage_date, calls, call_users, successful, client_errors, server_errors, response_ms_sum,
       response_ms_mean, response_ms_p95, response_ms_max, request_bytes, response_bytes, storage_bytes, files,
       reports_generated, reports_completed, report_users, sessions, session_seconds, active_users,
       CASE WHEN day.usage_date < $2 THEN 'final' ELSE 'provisional' END, $1
  FROM day, jsonb_populate_record(NULL::app.usage_statistics, day.figures) AS fresh
 ORDER BY day.usage_date
    ON CONFLICT (tenant_id, usage_date) DO UPDATE SET
       (calls, call_users, successful, client_errors, server_errors, response_ms_sum, response_ms_mean,
        response_ms_p95, response_ms_max, request_bytes, response_bytes, storage_bytes, files, reports_generated,
        reports_completed, report_users, sessions, session_seconds, active_users, run_id)
     = (excluded.calls, excluded.call_users, excluded.successful, excluded.client_errors, excluded.server_errors,
        excluded.response_ms_sum, excluded.response_ms_mean, excluded.response_ms_p95, excluded.response_ms_max,
        excluded.request_bytes, excluded.response_bytes, excluded.storage_bytes, excluded.files,
        excluded.reports_generated, excluded.reports_completed, excluded.report_users, excluded.sessions,
        excluded.session_seconds, excluded.active_users, excluded.run_id)
     WHERE recorded.state <> 'billed'
       AND to_jsonb(recorded) - '{state, run_id}'::text[] <> to_jsonb(excluded) - '{state, run_id}'::text[]
RETURNING usage_date
