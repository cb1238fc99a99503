-- Keys that are new take their rows along. The same target of two integrations is two recipients.
WITH wanted AS (
    SELECT DISTINCT ON (key) w.*
      FROM (SELECT r.*, r.recipient || coalesce('@' || r.integration_id, '') || ' ' || r.channel || ' '
                        || r.source || ' ' || r.source_id AS key
              FROM jsonb_to_recordset($1) AS r (source text, source_id bigint, channel text, recipient text,
                   sender text, integration_id bigint, setting_id bigint, priority smallint, subject text, body text,
                   html text, link text, attachments bigint[], due_at timestamptz, expires_at timestamptz)) AS w
     ORDER BY key, priority
), keyed AS (
    INSERT INTO app.delivery_keys (tenant_id, source, source_id, recipient, channel)
    SELECT yakin.current_tenant(), source, source_id, recipient || coalesce('@' || integration_id, ''), channel
      FROM wanted ORDER BY key
    ON CONFLICT DO NOTHING
    RETURNING source, source_id, recipient, channel
)
INSERT INTO app.deliveries (tenant_id, source, source_id, channel, recipient, sender, integration_id, setting_id,
                            priority, state, subject, body, html, link, attachments, due_at, expires_at, created_at,
                            sent_at)
SELECT yakin.current_tenant(), w.source, w.source_id, w.channel, w.recipient, w.sender, w.integration_id,
       w.setting_id, w.priority, CASE w.channel WHEN 'in_app' THEN 'sent' ELSE 'pending' END, w.subject, w.body,
       w.html, w.link, coalesce(w.attachments, '{}'), w.due_at, w.expires_at, $2,
       CASE w.channel WHEN 'in_app' THEN $2 END
  FROM wanted w JOIN keyed k
    ON (k.source, k.source_id, k.recipient, k.channel)
     = (w.source, w.source_id, w.recipient || coalesce('@' || w.integration_id, ''), w.channel)
 ORDER BY w.key
