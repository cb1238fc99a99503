-- A tenant that was asked for by name but is not in the batch's roster stands in the ledger with the reason.
INSERT INTO yakin.run_tenants (run_id, tenant_id, state, reason, ended_at)
SELECT $1, tenant_id, CASE WHEN tenant_id = ANY ($3) THEN 'waiting' ELSE 'blocked' END,
       CASE WHEN tenant_id = ANY ($3) THEN NULL ELSE 'not in scope: nothing to do for this period' END,
       CASE WHEN tenant_id = ANY ($3) THEN NULL ELSE $4::timestamptz END
  FROM unnest($2::bigint[]) AS tenant_id
ON CONFLICT DO NOTHING
