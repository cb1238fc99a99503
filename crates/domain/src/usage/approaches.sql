-- What came of standing offers: those made between $1 and $2 and on the thirty days before, by the day they were made
-- on ($3 is the last of these days). A letter is one recipient of one offer; what happens to it counts once of a kind, and
-- up to thirty days after its day. One pass over each table and no join, so that the plan hangs on no statistics.
WITH fact AS (
    SELECT tenant_id, approach_delivery_id, NULL AS recipient, 'offered' AS kind,
           (created_at AT TIME ZONE 'Asia/Tokyo')::date AS day
      FROM app.approach_deliveries
     WHERE state = 'offered' AND created_at >= $1::timestamptz - interval '30 days' AND created_at < $2
    UNION ALL
    SELECT tenant_id, source_id, lower(recipient), CASE state WHEN 'sent' THEN 'accepted' ELSE 'asked' END,
           (created_at AT TIME ZONE 'Asia/Tokyo')::date
      FROM app.deliveries
     WHERE source = 'approach' AND created_at >= $1::timestamptz - interval '30 days' AND created_at < $2
    UNION ALL
    SELECT tenant_id, approach_delivery_id, lower(recipient), kind, (occurred_at AT TIME ZONE 'Asia/Tokyo')::date
      FROM app.approach_events
     WHERE occurred_at >= $1::timestamptz - interval '30 days'
), dated AS (
    SELECT tenant_id, approach_delivery_id, recipient, kind, day,
           max(CASE kind WHEN 'offered' THEN day END) OVER (PARTITION BY tenant_id, approach_delivery_id) AS sent_on
      FROM fact
), letter AS (
    -- of an offer outside the window, and of a notice that is no offer, there is no day
    SELECT tenant_id, sent_on, approach_delivery_id, recipient, bool_or(kind IN ('asked', 'accepted')) AS sent,
           bool_or(kind = 'accepted') AS accepted,
           bool_or(kind = 'opened' AND day BETWEEN sent_on AND sent_on + 30) AS opened,
           bool_or(kind = 'replied' AND day BETWEEN sent_on AND sent_on + 30) AS replied,
           bool_or(kind = 'met' AND day BETWEEN sent_on AND sent_on + 30) AS met,
           bool_or(kind = 'contracted' AND day BETWEEN sent_on AND sent_on + 30) AS contracted
      FROM dated
     WHERE sent_on IS NOT NULL
     GROUP BY tenant_id, sent_on, approach_delivery_id, recipient
), cohort AS (
    SELECT tenant_id, sent_on, count(*) FILTER (WHERE recipient IS NULL) AS approaches,
           count(*) FILTER (WHERE sent) AS sent, count(*) FILTER (WHERE sent AND accepted) AS accepted,
           count(*) FILTER (WHERE sent AND opened) AS opened, count(*) FILTER (WHERE sent AND replied) AS replied,
           count(*) FILTER (WHERE sent AND met) AS met, count(*) FILTER (WHERE sent AND contracted) AS contracted,
           count(*) FILTER (WHERE recipient IS NOT NULL AND NOT sent) AS strange
      FROM letter
     GROUP BY tenant_id, sent_on
)
SELECT tenant_id,
       jsonb_build_object(
           'approaches', coalesce(sum(approaches) FILTER (WHERE sent_on = $3), 0),
           'letters_unknown', sum(strange),
           'cohorts', jsonb_agg(to_jsonb(cohort) - '{tenant_id, strange}'::text[] ORDER BY sent_on))::text AS figures,
       coalesce(sum(approaches) FILTER (WHERE sent_on = $3), 0)::bigint AS rows_counted,
       NULL::bigint AS rows_in_source, NULL::text AS impossible
  FROM cohort
 GROUP BY tenant_id
 ORDER BY tenant_id
