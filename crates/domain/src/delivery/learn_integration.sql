-- What was learnt of an integration: one failure more by what all nodes saw, or none; at the last of a row, or where it
-- is said ($3), it rests, and is tried afresh afterwards.
UPDATE app.integrations
   SET failures_in_row = CASE WHEN $2 AND failures_in_row + 1 < $5 THEN failures_in_row + 1 ELSE 0 END,
       paused_until = CASE WHEN $2 AND failures_in_row + 1 < $5 THEN paused_until ELSE greatest(paused_until, $3) END,
       paused_reason = CASE WHEN $3 IS NULL OR $2 AND failures_in_row + 1 < $5 THEN paused_reason
                            ELSE left($4, 500) END
 WHERE tenant_id = yakin.current_tenant() AND integration_id = $1
RETURNING failures_in_row, coalesce(paused_until > $6, false)
