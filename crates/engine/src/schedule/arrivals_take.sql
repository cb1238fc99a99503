-- The tenants for whom something has arrived for batch $1 by $2; their arrivals go.
WITH taken AS (
    DELETE FROM yakin.arrivals a
     USING yakin.arrivals_to_start s
     WHERE s.batch_id = $1 AND s.due_at <= $2 AND a.arrival_id = s.arrival_id
    RETURNING a.tenant_id
)
SELECT DISTINCT tenant_id FROM taken ORDER BY tenant_id
