-- The versions of the plans $1 that are in force on some day of the month $2 .. $3.
SELECT plan_code, valid_from, name, currency, base_fee, included_api_calls, api_rate_per_1000, included_storage_gb,
       storage_rate_per_gb, included_cpu_hours, cpu_rate_per_hour, included_memory_gb_hours, memory_rate_per_gb_hour,
       included_bandwidth_gb, bandwidth_rate_per_gb
  FROM app.plans AS version
 WHERE plan_code = ANY ($1) AND valid_from < $3
   AND NOT EXISTS (SELECT FROM app.plans AS later
                    WHERE later.plan_code = version.plan_code
                      AND later.valid_from > version.valid_from AND later.valid_from <= $2)
 ORDER BY plan_code, valid_from
 LIMIT 1000
