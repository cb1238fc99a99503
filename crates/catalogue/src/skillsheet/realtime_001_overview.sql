-- What operators should know after a look at $1: paused by failures, due for over an hour, due at all.
SELECT count(*) FILTER (WHERE paused_at IS NOT NULL),
       count(*) FILTER (WHERE paused_at IS NULL AND next_delivery_at < $1::timestamptz - interval '60 minutes'),
       count(*) FILTER (WHERE paused_at IS NULL AND next_delivery_at <= $1)
  FROM app.approaches JOIN app.tenants USING (tenant_id)
 WHERE approaches.active AND tenants.status = 'active'
