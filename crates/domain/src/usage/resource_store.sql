-- Writes day $2 of tenant $1: its record so far, overlaid by $4 (JSON objects, later ones win), where that differs.
WITH figure AS (
    SELECT jsonb_object_agg(figure.key, figure.value ORDER BY place) AS figures
      FROM unnest(coalesce((SELECT to_jsonb(day) FROM app.tenant_usage_daily AS day
                             WHERE tenant_id = $1 AND usage_date = $2), '{}') || $4::text[]::jsonb[])
           WITH ORDINALITY AS layer (figures, place),
           jsonb_each(layer.figures) AS figure
)
INSERT INTO app.tenant_usage_daily AS recorded (
       tenant_id, usage_date, api_calls, api_users, api_successes, api_errors, response_ms_mean, response_ms_max,
       api_bytes_in, api_bytes_out, active_users, reports_generated, sessions, logins, storage_bytes, storage_files,
       storage_owners, storage_document_bytes, storage_image_bytes, storage_other_bytes, last_upload_at, cpu_seconds,
       cpu_percent_mean, cpu_percent_peak, memory_mb_seconds, memory_mb_peak, processes, network_bytes_in,
       network_bytes_out, connections, connection_seconds_mean, peak_bytes_per_second, feature_uses, feature_users,
       feature_seconds, estimate_month_to_date, estimate_currency, estimate_missing, run_id)
SELECT $1, $2, api_calls, api_users, api_successes, api_errors, response_ms_mean, response_ms_max,
       api_bytes_in, api_bytes_out, active_users, reports_generated, sessions, logins, storage_bytes, storage_files,
       storage_owners, storage_document_bytes, storage_image_bytes, storage_other_bytes, last_upload_at, cpu_seconds,
       cpu_percent_mean, cpu_percent_peak, memory_mb_seconds, memory_mb_peak, processes, network_bytes_in,
       network_bytes_out, connections, connection_seconds_mean, peak_bytes_per_second, feature_uses, feature_users,
       feature_seconds, estimate_month_to_date, estimate_currency, estimate_missing, $3
  FROM figure, jsonb_populate_record(NULL::app.tenant_usage_daily, figures) AS fresh
    ON CONFLICT (tenant_id, usage_date) DO UPDATE SET
       (api_calls, api_users, api_successes, api_errors, response_ms_mean, response_ms_max, api_bytes_in,
        api_bytes_out, active_users, reports_generated, sessions, logins, storage_bytes, storage_files, storage_owners,
        storage_document_bytes, storage_image_bytes, storage_other_bytes, last_upload_at, cpu_seconds,
        cpu_percent_mean, cpu_percent_peak, memory_mb_seconds, memory_mb_peak, processes, network_bytes_in,
        network_bytes_out, connections, connection_seconds_mean, peak_bytes_per_second, feature_uses, feature_users,
        feature_seconds, run_id)
     = (excluded.api_calls, excluded.api_users, excluded.api_successes, excluded.api_errors,
        excluded.response_ms_mean, excluded.response_ms_max, excluded.api_bytes_in, excluded.api_bytes_out,
        excluded.active_users, excluded.reports_generated, excluded.sessions, excluded.logins, excluded.storage_bytes,
        excluded.storage_files, excluded.storage_owners, excluded.storage_document_bytes,
        excluded.storage_image_bytes, excluded.storage_other_bytes, excluded.last_upload_at, excluded.cpu_seconds,
        excluded.cpu_percent_mean, excluded.cpu_percent_peak, excluded.memory_mb_seconds, excluded.memory_mb_peak,
        excluded.processes, excluded.network_bytes_in, excluded.network_bytes_out, excluded.connections,
        excluded.connection_seconds_mean, excluded.peak_bytes_per_second, excluded.feature_uses,
        excluded.feature_users, excluded.feature_seconds, excluded.run_id)
     WHERE to_jsonb(recorded) - 'run_id' <> to_jsonb(excluded) - 'run_id'
