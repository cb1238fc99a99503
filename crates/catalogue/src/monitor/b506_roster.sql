-- Tenants that are open, and closed ones that still have sessions to end.
SELECT tenant_id
  FROM app.tenants
 WHERE status <> 'closed'
    OR EXISTS (SELECT FROM app.tokens AS s
                WHERE s.tenant_id = tenants.tenant_id AND s.token_type = 'SESSION')
 ORDER BY tenant_id
