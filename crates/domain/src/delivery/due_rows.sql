-- The next rows of a sender, most urgent first, kept for this attempt until it has taken or left them. What is not
-- wanted any more since the run began is left to the next clearing.
SELECT d.delivery_id
  FROM app.deliveries d
  JOIN app.tenants t USING (tenant_id)
  LEFT JOIN app.notification_settings s USING (tenant_id, setting_id)
 WHERE d.tenant_id = yakin.current_tenant() AND d.channel = $1 AND d.sender = $2
   AND d.integration_id IS NOT DISTINCT FROM $3
   AND d.state = ANY ($4) AND d.due_at <= $5 AND d.priority = ANY ($6)
   AND ($7::bigint IS NULL OR d.source = 'notification' AND d.source_id = $7)
   AND (d.source NOT IN ('notification', 'approach') OR t.status = 'active') AND coalesce(s.enabled, true)
   AND NOT EXISTS (SELECT FROM app.suppressions x
                    WHERE x.tenant_id = d.tenant_id AND d.channel = 'email' AND x.address = lower(d.recipient))
 ORDER BY d.priority, d.due_at, d.delivery_id
 LIMIT $8
   FOR UPDATE OF d SKIP LOCKED
