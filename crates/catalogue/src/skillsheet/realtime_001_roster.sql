-- Companies that are not suspended, with an approach that is due.
SELECT DISTINCT tenant_id
  FROM app.approaches JOIN app.tenants USING (tenant_id)
 WHERE approaches.active AND paused_at IS NULL AND next_delivery_at <= $1 AND tenants.status = 'active'
 ORDER BY tenant_id
