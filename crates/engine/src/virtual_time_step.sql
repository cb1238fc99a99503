-- Virtual time stands while any job is ready or runs, or a run can move on; else it jumps to the next due instant.
-- The row is locked by the caller.
WITH control AS (
    SELECT virtual_now, virtual_until FROM yakin.control WHERE virtual_now IS NOT NULL
), quiet AS (
    SELECT NOT EXISTS (SELECT FROM yakin.jobs WHERE state IN ('ready', 'running'))
       AND NOT EXISTS (SELECT FROM yakin.runs r WHERE r.state = 'running' AND NOT EXISTS (
                           SELECT FROM yakin.jobs j WHERE j.run_id = r.id AND j.kind <> 'follow_up'))
       AND NOT EXISTS (SELECT FROM yakin.runs WHERE state = 'waiting' AND waiting_for IN ('start'))
       AND NOT EXISTS (SELECT FROM yakin.arrivals_to_start a, control
                        WHERE a.due_at <= control.virtual_now AND a.batch_id = ANY ($1))
           AS is_quiet
), next AS (
    SELECT min(instant) AS instant FROM control CROSS JOIN LATERAL (
        SELECT min(f.due_at) AS instant FROM yakin.firings f JOIN yakin.batches b ON b.id = f.batch_id
         WHERE f.state = 'planned' AND b.enabled AND f.due_at > control.virtual_now AND f.batch_id = ANY ($1)
        UNION ALL
        SELECT min(j.run_at) FROM yakin.jobs j WHERE j.state = 'scheduled'
        UNION ALL
        SELECT min(a.due_at) FROM yakin.arrivals a WHERE a.due_at > control.virtual_now
        UNION ALL
        -- a run that waits is looked at again each minute: its deadline, a lock, a need
        SELECT control.virtual_now + interval '1 minute'
         WHERE EXISTS (SELECT FROM yakin.runs r WHERE r.state = 'waiting' AND r.trigger = 'firing'
                          AND r.waiting_for NOT LIKE 'approval%')) AS candidate
)
UPDATE yakin.control c
   SET virtual_now = least(greatest(coalesce(next.instant, c.virtual_until), c.virtual_now), c.virtual_until)
  FROM quiet, next
 WHERE quiet.is_quiet AND c.virtual_now IS NOT NULL
   AND (c.virtual_until IS NULL OR c.virtual_now < c.virtual_until)
   AND (next.instant IS NOT NULL OR c.virtual_until IS NOT NULL)
RETURNING c.virtual_now
