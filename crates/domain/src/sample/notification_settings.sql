-- Mail for everything; chat beside it where the tenant has an integration.
INSERT INTO app.notification_settings (tenant_id, key, channel, integration_id, target, state)
SELECT tenant_id, '*', 'email', NULL, NULL, 'valid' FROM unnest($1::bigint[]) AS all_of (tenant_id)
UNION ALL
SELECT tenant_id, '*', channel, integration_id,
       CASE channel WHEN 'slack' THEN 'C0' || tenant_id WHEN 'teams' THEN 'general' END, 'valid'
  FROM app.integrations WHERE tenant_id = ANY ($1)
 ORDER BY 1, 3
