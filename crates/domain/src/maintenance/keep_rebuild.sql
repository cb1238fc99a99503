INSERT INTO app.index_rebuilds (index_name, week, outcome, bloat_percent, bytes_before, bytes_after, reason, run_id,
                                ended_at)
VALUES ($1, $2, CASE WHEN $5::bigint IS NULL THEN 'skipped' ELSE 'rebuilt' END, $3, $4, $5, $6, $7, $8)
ON CONFLICT (index_name, week) DO NOTHING
