SELECT notification_id, key, template_id, priority, user_id, audience, data, attachments, scheduled_at
  FROM app.notifications
 WHERE tenant_id = yakin.current_tenant() AND state = 'pending' AND scheduled_at < $1
   AND ($2::text[] IS NULL OR key = ANY ($2))
 ORDER BY array_position(ARRAY['high', 'medium', 'low'], priority), scheduled_at, notification_id
 LIMIT $3
