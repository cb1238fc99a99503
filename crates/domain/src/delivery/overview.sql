SELECT (SELECT count(*) FROM app.delivery_attempts WHERE run_id = $1) AS attempts,
       (SELECT count(*) FROM app.deliveries WHERE ended_run = $1 AND state = 'sent') AS sent,
       (SELECT count(*) FROM app.deliveries WHERE ended_run = $1 AND state IN ('failed', 'uncertain')) AS failed,
       count(*) AS waiting,
       (extract(epoch FROM $3 - min(due_at) FILTER (WHERE priority = 1)) / 60)::bigint AS oldest_high,
       (extract(epoch FROM $3 - min(due_at)) / 60)::bigint AS oldest,
       (extract(epoch FROM $3 - min(due_at) FILTER (WHERE state = 'pending')) / 60)::bigint AS oldest_untried,
       ARRAY(SELECT format('tenant %s, %s: %s', t.code, i.name, i.paused_reason)
               FROM app.integrations i JOIN app.tenants t USING (tenant_id)
              WHERE i.paused_until > $3 AND i.channel = ANY ($2) ORDER BY 1 LIMIT 20)
       || ARRAY(SELECT format('relay %s: %s', name, paused_reason) FROM app.relays
                 WHERE paused_until > $3 AND 'email' = ANY ($2) ORDER BY 1 LIMIT 20) AS resting
  FROM app.deliveries
 WHERE state IN ('pending', 'retry_wait') AND due_at <= $3 AND channel = ANY ($2)
