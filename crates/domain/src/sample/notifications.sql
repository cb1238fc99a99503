-- Around today: some were due in the days before, most are still to come.
INSERT INTO app.notifications (tenant_id, template, user_id, send_on, created_at)
SELECT tenant_id,
       (ARRAY['skill-update-reminder', 'report-ready', 'assignment-ending', 'contract-renewal'])[1 + (dice & 3)],
       CASE WHEN dice >> 2 & 3 > 0 THEN first_user + (dice >> 4 & 65535) % established END,
       $3::text::date - 3 + (dice >> 20 & 1023)::integer % 14,
       $4 - interval '4 days' - (dice >> 30 & 1023) * interval '10 minutes'
  FROM jsonb_to_recordset($1) AS tenant (
       n bigint, tenant_id bigint, status text, engineers integer, first_user bigint, established integer)
 CROSS JOIN generate_series(1, 2 + engineers / 8) AS notice (k)
 CROSS JOIN LATERAL (SELECT hashint8extended(k, hashint8extended(n, $2)) AS dice) AS thrown
 WHERE status = 'active'
 ORDER BY n, k;
