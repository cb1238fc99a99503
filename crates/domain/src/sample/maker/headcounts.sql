-- The heads of a tenant that is billed by them, on each day from $1 up to $2, as DAILY_002 would have counted them.
INSERT INTO app.company_usage_daily (tenant_id, usage_date, total_users, total_engineers, active_engineers, run_id)
SELECT yakin.current_tenant(), day::date, users.total, engineers.total, engineers.active, 0
  FROM generate_series($1::text::date::timestamp, $2::text::date::timestamp - interval '1 day', interval '1 day') AS day
 CROSS JOIN LATERAL (SELECT count(*) AS total FROM app.users
                      WHERE tenant_id = yakin.current_tenant() AND status = 'active'
                        AND created_at < (day + interval '1 day') AT TIME ZONE 'Asia/Tokyo') AS users
 CROSS JOIN LATERAL (SELECT count(*) AS total, count(*) FILTER (WHERE status IN ('working', 'waiting_soon')) AS active
                       FROM app.engineers
                      WHERE tenant_id = yakin.current_tenant() AND status <> 'retired' AND joined_on <= day) AS engineers
 WHERE EXISTS (SELECT FROM app.contracts
                WHERE tenant_id = yakin.current_tenant() AND billing_engine = 'skillsheet' AND starts_on <= day);
