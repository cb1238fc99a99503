-- What stands of the month $1, per contract that engine $2 bills: the newest document not void, the sum of all of them,
-- and the newest revision of any kind.
WITH standing AS (
    SELECT DISTINCT ON (contract_id) contract_id, invoice_id, number, snapshot,
           held_at IS NOT NULL AND released_by IS NULL AS held, document_ready_at IS NOT NULL AND sent_at IS NULL
           AND NOT EXISTS (SELECT FROM app.delivery_keys AS key
                            WHERE (key.tenant_id, key.source, key.source_id)
                                = (invoices.tenant_id, 'invoice', invoice_id)) AS unmailed
      FROM app.invoices
     WHERE tenant_id = yakin.current_tenant() AND period_start = $1 AND state <> 'void'
     ORDER BY contract_id, revision DESC
), history AS (
    SELECT contract_id, max(revision) AS last_revision, sum(total) FILTER (WHERE state <> 'void') AS total
      FROM app.invoices
     WHERE tenant_id = yakin.current_tenant() AND period_start = $1
     GROUP BY contract_id
)
SELECT contract_id, last_revision, total, invoice_id, number, snapshot,
       coalesce(held, false) AS held, coalesce(unmailed AND NOT held, false) AS unmailed
  FROM history LEFT JOIN standing USING (contract_id)
 WHERE contract_id IN (SELECT contract_id FROM app.contracts
                        WHERE tenant_id = yakin.current_tenant() AND billing_engine = $2)
 ORDER BY contract_id
 LIMIT 1000
