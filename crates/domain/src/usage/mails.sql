-- Mails of the tenants' own that a relay took between $1 and $2.
SELECT tenant_id, jsonb_build_object('mails_sent', count(*))::text AS figures, count(*) AS rows_counted,
       NULL::bigint AS rows_in_source, NULL::text AS impossible
  FROM app.deliveries
 WHERE channel = 'email' AND state = 'sent' AND sender = 'tenant' AND sent_at >= $1 AND sent_at < $2
 GROUP BY tenant_id
 ORDER BY tenant_id
