-- Data of the usage bench; names in braces are put in by it.
INSERT INTO app.plans (plan_code, valid_from, name, currency, base_fee, included_api_calls, api_rate_per_1000,
                       included_storage_gb, storage_rate_per_gb, included_cpu_hours, cpu_rate_per_hour,
                       included_memory_gb_hours, memory_rate_per_gb_hour, included_bandwidth_gb,
                       bandwidth_rate_per_gb)
VALUES ('standard', '2020-01-01', 'スタンダード', 'JPY', 50000, 100000, 120, 100, 50, 100, 30, 200, 10, 500, 20);
INSERT INTO app.tax_rates (country, kind, valid_from, rate) VALUES ('JP', 'standard', '2019-10-01', 0.10)
ON CONFLICT DO NOTHING;
-- next
INSERT INTO app.tenants (tenant_id, code, name, created_on, billing_name, billing_address, billing_email,
                         platform_relay)
SELECT n, 't' || n, '株式会社' || n, '2020-01-01', '株式会社' || n, '東京都千代田区' || n, 't' || n || '@example.com', true
  FROM generate_series(1, {tenants}) AS n;
INSERT INTO app.tenant_status_history (tenant_id, since, status)
SELECT tenant_id, '2020-01-01T00:00:00+09:00', 'active' FROM app.tenants;
INSERT INTO app.contracts (tenant_id, contract_id, starts_on) SELECT tenant_id, tenant_id, '2020-01-01' FROM app.tenants;
INSERT INTO app.contract_plans SELECT tenant_id, tenant_id, '2020-01-01', 'standard' FROM app.tenants;
INSERT INTO app.files (tenant_id, key, file_type, size_bytes, created_at)
SELECT tenant_id, 'file/' || n, 'pdf', 1000000 * n, '2020-01-02'
  FROM app.tenants CROSS JOIN generate_series(1, 5) AS n;
-- next
SELECT yakin.ensure_month(format('app.%I', log)::regclass, month::date)
  FROM unnest(ARRAY['api_call_logs', 'login_logs', 'report_generation_logs', 'user_sessions', 'compute_usage_logs',
                    'network_usage_logs', 'feature_usage_logs']) AS log
 CROSS JOIN (SELECT date '{day_month}' AS month UNION SELECT '{this}') AS months;
-- next
-- Few tenants have most of the calls: tenant n's share falls with its root.
INSERT INTO app.api_call_logs (tenant_id, user_id, created_at, response_status, response_ms, request_bytes,
                               response_bytes)
SELECT 1 + floor({tenants} * random() ^ 2)::bigint, 1 + floor(300 * random() ^ 2)::bigint,
       timestamptz '{day}' + n * interval '86399 seconds' / {rows},
       CASE WHEN random() < 0.95 THEN 200 WHEN random() < 0.8 THEN 404 ELSE 500 END,
       5 + floor(-80 * ln(1 - random()))::integer, 200 + (n % 4000)::integer, 500 + (n % 60000)::integer
  FROM generate_series(1, {rows}) AS n;
-- next
INSERT INTO app.user_sessions (tenant_id, user_id, created_at, duration_seconds)
SELECT 1 + floor({tenants} * random() ^ 2)::bigint, 1 + n % 300,
       timestamptz '{day}' + n * interval '86399 seconds' / ({rows} / 50), n % 3600
  FROM generate_series(1, {rows} / 50) AS n;
INSERT INTO app.login_logs (tenant_id, user_id, created_at, succeeded)
SELECT tenant_id, user_id, created_at, true FROM app.user_sessions WHERE duration_seconds % 2 = 0;
INSERT INTO app.report_generation_logs (tenant_id, user_id, created_at, status)
SELECT tenant_id, user_id, created_at, 'completed' FROM app.user_sessions WHERE duration_seconds % 10 = 0;
INSERT INTO app.feature_usage_logs (tenant_id, user_id, created_at, feature_name, duration_seconds)
SELECT tenant_id, user_id, created_at, 'feature ' || duration_seconds % 7, duration_seconds FROM app.user_sessions;
INSERT INTO app.compute_usage_logs (tenant_id, created_at, cpu_seconds, cpu_percent, memory_mb, duration_seconds,
                                    process_id)
SELECT tenant_id, created_at, duration_seconds, 20, 512, duration_seconds, user_id
  FROM app.user_sessions WHERE duration_seconds % 4 = 0;
INSERT INTO app.network_usage_logs (tenant_id, created_at, bytes_in, bytes_out, duration_seconds,
                                    peak_bytes_per_second)
SELECT tenant_id, created_at, duration_seconds * 1000, duration_seconds * 5000, duration_seconds + 1, 100000
  FROM app.user_sessions WHERE duration_seconds % 4 = 1;
-- next
-- The month that is billed, as BATCH-301 recorded it, with the marks that it did.
INSERT INTO app.tenant_usage_daily (tenant_id, usage_date, api_calls, api_users, api_successes, api_errors,
        api_bytes_in, api_bytes_out, active_users, reports_generated, sessions, logins, storage_bytes,
        storage_files, storage_owners, storage_document_bytes, storage_image_bytes, storage_other_bytes,
        cpu_seconds, memory_mb_seconds, processes, network_bytes_in, network_bytes_out, connections,
        feature_uses, feature_users, feature_seconds, run_id)
SELECT tenant_id, d::date, 4000 + tenant_id, 20, 4000, 0, 0, 0, 20, 1, 30, 30, 150000000000, 100, 10, 0, 0, 0, 20000, 0,
       1, 0, 20000000000, 10, 5, 5, 50, 0
  FROM app.tenants CROSS JOIN generate_series(date '{first}', date '{last}', '1 day') AS d;
INSERT INTO yakin.completions (batch_id, period_start, tenant_id, run_id, completed_at)
SELECT 'BATCH-301', usage_date, tenant_id, 0, usage_date + 1 FROM app.tenant_usage_daily;
