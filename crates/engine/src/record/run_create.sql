INSERT INTO yakin.runs (batch_id, planned_at, trigger, rerun_of, period_start, period_end, params, only_tenants,
                        dry_run, requested_by, deadline_at, run_at, released_by, state, waiting_for)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'waiting', 'start')
RETURNING id
