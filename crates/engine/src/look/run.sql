SELECT r.id, r.batch_id, b.title, r.trigger, r.period_start, r.period_end, r.dry_run, r.state, r.phase,
       r.waiting_for, r.outcome, r.reason, r.notes, r.requested_by, r.run_at,
       extract(epoch FROM coalesce(r.real_ended, clock_timestamp()) - r.real_started)::float8 AS seconds,
       r.tenants_total, r.tenants_done, r.tenants_blocked, r.tenants_failed, r.rows_written, r.amount_yen, r.counts,
       r.params, r.rerun_of, r.only_tenants, r.plan, r.plan_hash
  FROM yakin.runs r
  JOIN yakin.batches b ON b.id = r.batch_id
