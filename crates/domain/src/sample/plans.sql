INSERT INTO app.plans (plan_code, valid_from, name, currency, base_fee, included_api_calls, api_rate_per_1000,
                       included_storage_gb, storage_rate_per_gb, included_cpu_hours, cpu_rate_per_hour,
                       included_memory_gb_hours, memory_rate_per_gb_hour, included_bandwidth_gb,
                       bandwidth_rate_per_gb, max_users, price_per_user, max_engineers, price_per_engineer)
SELECT plan_code, valid_from, name, currency, base_fee, included_api_calls, api_rate_per_1000,
       included_storage_gb, storage_rate_per_gb, included_cpu_hours, cpu_rate_per_hour,
       included_memory_gb_hours, memory_rate_per_gb_hour, included_bandwidth_gb,
       bandwidth_rate_per_gb, max_users, price_per_user, max_engineers, price_per_engineer
  FROM jsonb_to_recordset($1) AS plan (
       plan_code text, valid_from date, name text, currency text, base_fee numeric, included_api_calls bigint,
       api_rate_per_1000 numeric, included_storage_gb numeric, storage_rate_per_gb numeric,
       included_cpu_hours numeric, cpu_rate_per_hour numeric, included_memory_gb_hours numeric,
       memory_rate_per_gb_hour numeric, included_bandwidth_gb numeric, bandwidth_rate_per_gb numeric,
       max_users integer, price_per_user numeric, max_engineers integer, price_per_engineer numeric)
    ON CONFLICT (plan_code, valid_from) DO NOTHING;
