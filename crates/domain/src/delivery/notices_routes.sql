-- Enabled settings over enabled integrations whose last check did not find them broken.
SELECT s.setting_id, s.key, s.channel, s.integration_id, s.target, i.name AS integration
  FROM app.notification_settings s
  LEFT JOIN app.integrations i USING (tenant_id, integration_id)
 WHERE s.tenant_id = yakin.current_tenant() AND s.enabled AND s.state <> 'invalid' AND coalesce(i.enabled, true)
 ORDER BY s.setting_id
 LIMIT 10000
