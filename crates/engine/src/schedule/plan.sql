-- A withdrawn instant that the new schedule has again is planned again; nothing else is ever overwritten.
WITH planned AS (
    UPDATE yakin.batches SET planned_until = $3 WHERE id = $1
)
INSERT INTO yakin.firings AS f (batch_id, planned_at, due_at)
SELECT $1, instant, instant FROM unnest($2::timestamptz[]) AS instant
ON CONFLICT (batch_id, planned_at) DO UPDATE
   SET state = 'planned', outcome = NULL, reason = NULL, ended_at = NULL, due_at = excluded.due_at
 WHERE f.outcome = 'withdrawn'
