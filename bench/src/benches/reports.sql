-- Data of the reports bench: {tenants} companies with a month of daily figures from {first} until {last}, as DAILY_002
-- leaves them, and people who used the service in it.
INSERT INTO app.tenants (tenant_id, code, name, created_on)
SELECT n, 't' || n, '株式会社' || n, '2020-01-01' FROM generate_series(1, {tenants}) AS n;
INSERT INTO app.tenant_status_history (tenant_id, since, status)
SELECT tenant_id, '2020-01-01T00:00:00+09:00', 'active' FROM app.tenants;
INSERT INTO app.contracts (tenant_id, contract_id, starts_on) SELECT tenant_id, tenant_id, '2020-01-01' FROM app.tenants;
INSERT INTO app.users (tenant_id, user_id, email, name, role, created_at)
SELECT tenant_id, n, 'u' || n || '@t' || tenant_id || '.example', '利用者' || n,
       CASE n WHEN 1 THEN 'admin' ELSE 'member' END, '2020-01-02'
  FROM app.tenants CROSS JOIN generate_series(1, 20) AS n;
INSERT INTO app.company_usage_daily (tenant_id, usage_date, total_users, active_users, total_engineers, active_engineers,
                                     run_id)
SELECT tenant_id, d::date, 20, 5 + extract(day FROM d)::integer % 10, 100, 80, 0
  FROM app.tenants CROSS JOIN generate_series(date '{first}', date '{last}', '1 day') AS d;
SELECT yakin.ensure_month('app.login_logs', date '{first}');
INSERT INTO app.login_logs (tenant_id, user_id, created_at, succeeded)
SELECT tenant_id, 1 + (tenant_id + n) % 20, timestamptz '{first}T09:00:00+09:00' + n * interval '1 day', true
  FROM app.tenants CROSS JOIN generate_series(0, 24) AS n;
