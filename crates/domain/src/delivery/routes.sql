-- All settings, and whether a message may go by each: a disabled one is a wish, too.
SELECT s.setting_id, s.key, s.channel, s.integration_id, s.target, i.name AS integration,
       CASE WHEN NOT s.enabled OR NOT coalesce(i.enabled, true) THEN 'disabled'
            WHEN s.state = 'invalid' THEN 'invalid' ELSE 'usable' END AS standing
  FROM app.notification_settings s
  LEFT JOIN app.integrations i USING (tenant_id, integration_id)
 WHERE s.tenant_id = yakin.current_tenant()
 ORDER BY s.setting_id
 LIMIT 10000
