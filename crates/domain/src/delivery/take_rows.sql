-- This attempt takes rows: they carry its job and token until their outcome is recorded.
UPDATE app.deliveries
   SET state = 'sending', job_id = $2, token = $3, on_wire_at = NULL
 WHERE tenant_id = yakin.current_tenant() AND delivery_id = ANY ($1)
RETURNING delivery_id, source, source_id, channel, recipient, priority, subject, body, html, link, attachments,
          attempts, deferrals, cause, due_at, created_at
