-- Jobs of the run that nobody has begun are gone; their tenants stand as cancelled. Follow-ups stay: the work they follow
-- from has committed, and no rerun would ask for them again.
WITH gone AS (
    DELETE FROM yakin.jobs WHERE id IN (
        SELECT id FROM yakin.jobs WHERE run_id = $1 AND state <> 'running' AND kind <> 'follow_up'
         ORDER BY id FOR UPDATE SKIP LOCKED)
    RETURNING *
), history AS (
    INSERT INTO yakin.job_history (tenant_id, job_id, attempt, token, run_id, batch_id, kind, queue, outcome)
    SELECT tenant_id, id, attempt, token, run_id, batch_id, kind, queue, 'cancelled' FROM gone
)
UPDATE yakin.run_tenants t SET state = 'cancelled', reason = 'cancelled by an operator', ended_at = $2
  FROM gone g WHERE g.kind = 'tenant' AND (t.run_id, t.tenant_id) = (g.run_id, g.tenant_id)
