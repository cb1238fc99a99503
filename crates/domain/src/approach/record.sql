-- What due times $2 of approach $1 came to; one that came to something before is left alone.
INSERT INTO app.approach_deliveries (tenant_id, approach_id, due_at, state, engineers, reason, run_id, created_at)
SELECT yakin.current_tenant(), $1, due_at, $3, $4, left($5, 1000), $6, $7
  FROM unnest($2::timestamptz[]) AS slot (due_at)
 ORDER BY due_at
    ON CONFLICT (tenant_id, approach_id, due_at) DO NOTHING
RETURNING approach_delivery_id
