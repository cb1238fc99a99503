-- What BATCH-204 recorded of tenant $1 and day $2, in the names of the resource view, and whether it is billed. Held
-- against billing until the end of the transaction, so that no invoice binds the day between look and write.
SELECT jsonb_build_object(
           'api_calls', calls, 'api_users', call_users, 'api_successes', successful,
           'api_errors', client_errors + server_errors, 'response_ms_mean', response_ms_mean,
           'response_ms_max', response_ms_max, 'api_bytes_in', request_bytes, 'api_bytes_out', response_bytes,
           'active_users', active_users, 'reports_generated', reports_generated, 'sessions', sessions)::text AS figures,
       state = 'billed' AS billed
  FROM app.usage_statistics
 WHERE tenant_id = $1 AND usage_date = $2
   FOR SHARE
