INSERT INTO app.plans (plan_code, valid_from, name, currency, base_fee, included_api_calls, api_rate_per_1000,
                       included_storage_gb, storage_rate_per_gb, included_cpu_hours, cpu_rate_per_hour,
                       included_memory_gb_hours, memory_rate_per_gb_hour, included_bandwidth_gb, bandwidth_rate_per_gb,
                       max_users, price_per_user, max_engineers, price_per_engineer)
VALUES ('standard', '2026-01-01', 'スタンダード', 'JPY', 50000, 100000, 120, 100, 50, 100, 30, 200, 10, 500, 20,
        10, 1000, 100, 500)
ON CONFLICT DO NOTHING;
INSERT INTO app.tax_rates (country, kind, valid_from, rate) VALUES ('JP', 'standard', '2019-10-01', 0.10)
ON CONFLICT DO NOTHING;
