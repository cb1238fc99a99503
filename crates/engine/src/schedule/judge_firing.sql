-- The newest other firing of the batch that is due too, and an open run of the batch.
SELECT (SELECT max(planned_at) FROM yakin.firings
         WHERE batch_id = $1 AND planned_at > $2 AND state = 'planned' AND due_at <= $3),
       (SELECT min(id) FROM yakin.runs WHERE batch_id = $1 AND state <> 'ended' AND NOT dry_run)
