-- Standing offers of the first tenants, due in the hours after $3, and the terms of all their engineers who may be
-- offered. One offer asks for a skill that nobody knows: it fails, and rests after the third time.
WITH company AS (
    SELECT row_number() OVER (ORDER BY n) AS place, tenant_id, code
      FROM jsonb_to_recordset($1) AS tenant (n bigint, tenant_id bigint, code text, status text, currency text)
     WHERE status = 'active' AND currency = 'JPY'
     ORDER BY n LIMIT 5
), offer AS (
    SELECT tenant_id, code, skill, hour, rhythm, wanted,
           (date_trunc('day', $3 AT TIME ZONE 'Asia/Tokyo') + hour
            + CASE WHEN hour > ($3 AT TIME ZONE 'Asia/Tokyo')::time THEN interval '0' ELSE interval '1 day' END) AS due
      FROM company JOIN (VALUES (1, 'daily', time '07:30', 'Java', '{}'),
                                (2, 'weekly', time '08:00', 'SQL', '{"statuses": ["waiting"]}'),
                                (3, 'monthly', time '09:00', 'Python', '{"max_monthly_rate": 800000}'),
                                (4, 'daily', time '08:30', 'Java', '{"areas": ["東京都"], "start_within_days": 60}'),
                                (5, 'daily', time '08:45', '念力', '{}'))
                AS wish (place, rhythm, hour, skill, wanted) USING (place)
), terms AS (
    INSERT INTO app.engineer_terms (tenant_id, engineer_id, area, monthly_rate, opted_out_at)
    SELECT tenant_id, engineer_id, (ARRAY['東京都', '東京都', '神奈川県', '大阪府'])[1 + (dice & 3)],
           500000 + (dice >> 4 & 31) * 10000, CASE WHEN dice >> 9 & 31 = 0 THEN $3 - interval '3 days' END
      FROM app.engineers JOIN company USING (tenant_id)
     CROSS JOIN LATERAL (SELECT hashint8extended(engineer_id, $2) AS dice) AS thrown
     WHERE engineers.status IN ('waiting', 'waiting_soon') AND dice >> 14 & 7 > 0
)
INSERT INTO app.approaches (tenant_id, name, criteria, recipients, rhythm, at_time, weekday, month_day, next_delivery_at,
                            created_at)
SELECT tenant_id, skill || ' エンジニアのご提案',
       wanted::jsonb || jsonb_build_object('skills', jsonb_build_array(jsonb_build_object('name', skill))),
       ARRAY['partner@' || code || '-client.example'], rhythm, hour,
       CASE rhythm WHEN 'weekly' THEN extract(isodow FROM due) END,
       CASE rhythm WHEN 'monthly' THEN extract(day FROM due) END, due AT TIME ZONE 'Asia/Tokyo', $3 - interval '30 days'
  FROM offer
 ORDER BY due, tenant_id;
