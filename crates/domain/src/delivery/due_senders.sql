-- Which senders have rows to send now, the most urgent first.
SELECT channel, sender, integration_id, min(priority) AS urgency, count(*) AS rows
  FROM app.deliveries
 WHERE tenant_id = yakin.current_tenant() AND channel = ANY ($1) AND state = ANY ($2) AND due_at <= $3
   AND priority = ANY ($4) AND ($5::bigint IS NULL OR source = 'notification' AND source_id = $5)
 GROUP BY channel, sender, integration_id
 ORDER BY urgency, channel, sender, integration_id
 LIMIT 1000
