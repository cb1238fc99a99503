-- The same of a relay of the operator.
UPDATE app.relays
   SET failures_in_row = CASE WHEN $2 AND failures_in_row + 1 < $5 THEN failures_in_row + 1 ELSE 0 END,
       paused_until = CASE WHEN $2 AND failures_in_row + 1 < $5 THEN paused_until ELSE greatest(paused_until, $3) END,
       paused_reason = CASE WHEN $3 IS NULL OR $2 AND failures_in_row + 1 < $5 THEN paused_reason
                            ELSE left($4, 500) END
 WHERE name = $1
RETURNING failures_in_row, coalesce(paused_until > $6, false)
