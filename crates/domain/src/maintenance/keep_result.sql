INSERT INTO app.maintenance_results AS kept
       (run_id, step, week, outcome, before, after, missing, notes, error, ended_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (run_id, step) DO UPDATE
   SET outcome = excluded.outcome, attempts = kept.attempts + 1, before = excluded.before, after = excluded.after,
       missing = excluded.missing, notes = excluded.notes, error = excluded.error, ended_at = excluded.ended_at
