SELECT DISTINCT n.tenant_id
  FROM app.notifications n JOIN app.tenants t USING (tenant_id)
 WHERE n.state = 'pending' AND n.scheduled_at < $1 AND t.status = 'active'
 ORDER BY n.tenant_id
