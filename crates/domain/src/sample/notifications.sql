-- Around today: some were due in the days before (and went out then), most are still to come, at four times of a day.
INSERT INTO app.notifications (tenant_id, key, priority, user_id, data, scheduled_at, state, created_at)
SELECT tenant_id, kind, (ARRAY['high', 'medium', 'medium', 'low'])[1 + (dice >> 2 & 3)],
       CASE WHEN dice >> 4 & 3 > 0 THEN first_user + (dice >> 6 & 65535) % established END,
       CASE kind
            WHEN 'skill-update-reminder' THEN
                 jsonb_build_object('days', 60 + (dice >> 8 & 63), 'link', link || 'me')
            WHEN 'report-ready' THEN
                 jsonb_build_object('report', '稼働状況 ' || to_char(day, 'YYYY-MM'), 'link', link || 'reports/' || k)
            WHEN 'assignment-ending' THEN
                 jsonb_build_object('engineer', '担当者 ' || k, 'project', '案件 ' || (k % 7 + 1),
                                    'ends_on', (day + 30)::text)
            ELSE jsonb_build_object('ends_on', (day + 60)::text) END,
       at, CASE WHEN day < $3::text::date THEN 'expanded' ELSE 'pending' END,
       least($4, at) - interval '4 days' - (dice >> 30 & 1023) * interval '10 minutes'
  FROM jsonb_to_recordset($1) AS tenant (
       n bigint, tenant_id bigint, code text, status text, engineers integer, first_user bigint, established integer)
 CROSS JOIN generate_series(1, 2 + engineers / 8) AS notice (k)
 CROSS JOIN LATERAL (SELECT hashint8extended(k, hashint8extended(n, $2)) AS dice) AS thrown
 CROSS JOIN LATERAL (SELECT (ARRAY['skill-update-reminder', 'report-ready', 'assignment-ending',
                                   'contract-renewal'])[1 + (dice & 3)] AS kind,
                            $3::text::date - 3 + (dice >> 20 & 1023)::integer % 14 AS day,
                            'https://' || code || '.example/' AS link) AS what
 CROSS JOIN LATERAL (SELECT (day + (ARRAY[time '08:30', time '09:00', time '10:00', time '15:00'])
                                   [1 + (dice >> 36 & 3)]) AT TIME ZONE 'Asia/Tokyo' AS at) AS hour
 WHERE status = 'active'
 ORDER BY n, k;
