-- The tenants whose service of day $3 (from $1 to $2) is counted: not closed all day long, or under contract.
SELECT tenant_id
  FROM app.tenants AS tenant
 WHERE created_on <= $3
   AND (coalesce((SELECT status FROM app.tenant_status_history AS earlier
                   WHERE earlier.tenant_id = tenant.tenant_id AND since <= $1 ORDER BY since DESC LIMIT 1),
                 'active') <> 'closed'
        OR EXISTS (SELECT FROM app.tenant_status_history AS later
                    WHERE later.tenant_id = tenant.tenant_id AND since > $1 AND since < $2 AND status <> 'closed'))
 UNION
SELECT tenant_id FROM app.contracts WHERE starts_on <= $3 AND (ends_on IS NULL OR ends_on >= $3)
 ORDER BY tenant_id
