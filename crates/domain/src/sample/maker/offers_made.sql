-- What the tenant's standing offers came to on the last thirty days up to the day before yesterday ($3 is today), seed $1, now $2: each due
-- time went to everybody on the list and was taken; some letters were opened, answered, and led on.
WITH due AS (
    SELECT a.approach_id, a.name, a.recipients,
           (day::date + a.at_time) AT TIME ZONE 'Asia/Tokyo' AS due_at
      FROM app.approaches a
     CROSS JOIN generate_series($3::text::date::timestamp - interval '30 days',
                                 $3::text::date::timestamp - interval '2 days', interval '1 day') AS day
     WHERE a.tenant_id = yakin.current_tenant()
       AND CASE a.rhythm WHEN 'weekly' THEN extract(isodow FROM day) = a.weekday
                         WHEN 'monthly' THEN extract(day FROM day) = a.month_day
                         ELSE true END
       -- the one whose skill nobody knows never came to anything
       AND a.criteria #>> '{skills, 0, name}' IN (SELECT name FROM app.skills)
), named AS (
    SELECT coalesce(jsonb_agg(jsonb_build_object('engineer_id', engineer_id, 'digest', '')), '[]') AS engineers
      FROM (SELECT engineer_id FROM app.engineer_terms
             WHERE tenant_id = yakin.current_tenant() AND opted_out_at IS NULL
             ORDER BY engineer_id LIMIT 3) AS few
), offer AS (
    INSERT INTO app.approach_deliveries (tenant_id, approach_id, due_at, state, engineers, run_id, created_at)
    SELECT yakin.current_tenant(), approach_id, due_at, 'offered', engineers, 0, due_at
      FROM due, named
     WHERE engineers <> '[]'
     ORDER BY due_at, approach_id
    RETURNING approach_delivery_id, approach_id, due_at
), letter AS (
    SELECT o.approach_delivery_id, o.due_at, d.name, recipient,
           hashint8extended(o.approach_delivery_id, $1) AS dice
      FROM offer o JOIN due d USING (approach_id, due_at)
     CROSS JOIN unnest(d.recipients) AS recipient
), keyed AS (
    INSERT INTO app.delivery_keys (tenant_id, source, source_id, recipient, channel)
    SELECT yakin.current_tenant(), 'approach', approach_delivery_id, recipient, 'email' FROM letter
), mailed AS (
    INSERT INTO app.deliveries (tenant_id, source, source_id, channel, recipient, sender, priority, state, subject, body,
                                due_at, expires_at, attempts, sent_at, created_at)
    SELECT yakin.current_tenant(), 'approach', approach_delivery_id, 'email', recipient, 'tenant', 2, 'sent', name, name,
           due_at, due_at + interval '7 days', 1, due_at + interval '1 minute', due_at
      FROM letter
     ORDER BY due_at, approach_delivery_id, recipient
), came AS (
    SELECT approach_delivery_id, recipient, kind, due_at + after AS occurred_at
      FROM letter
     CROSS JOIN LATERAL (VALUES
           ('opened', dice & 15 < 10, (1 + (dice >> 4 & 15)) * interval '1 hour'),
           ('replied', dice & 15 < 6, (20 + (dice >> 8 & 63)) * interval '1 hour'),
           ('met', dice & 15 < 3, (100 + (dice >> 14 & 63)) * interval '1 hour'),
           ('contracted', dice & 15 < 1, (200 + (dice >> 20 & 127)) * interval '1 hour')) AS step (kind, happened, after)
     WHERE happened
)
INSERT INTO app.approach_events (tenant_id, approach_delivery_id, recipient, kind, occurred_at)
SELECT yakin.current_tenant(), approach_delivery_id, recipient, kind, occurred_at
  FROM came
 WHERE occurred_at < $2
 ORDER BY occurred_at, approach_delivery_id, kind;
