WITH ended AS (
    SELECT id, rows_written, (extract(epoch FROM real_ended - real_started) * 1000)::bigint AS duration_ms
      FROM yakin.runs
     WHERE id = $1 AND real_started IS NOT NULL AND NOT dry_run AND outcome IN ('succeeded', 'partial', 'failed')
), cost AS (
    SELECT coalesce(sum(cpu_ms), 0) AS cpu_ms, coalesce(max(memory_bytes), 0) AS memory_bytes
      FROM yakin.job_history WHERE run_id = $1
), history AS (
    SELECT avg(p.duration_ms)::bigint AS mean_ms, count(*) AS runs
      FROM (SELECT p.duration_ms FROM yakin.run_performance p JOIN yakin.runs r ON r.id = p.run_id
             WHERE p.batch_id = $2 AND p.weekend = $3 AND r.outcome = 'succeeded'
             ORDER BY p.ended_at DESC, p.run_id DESC LIMIT 20) AS p
)
INSERT INTO yakin.run_performance (run_id, batch_id, duration_ms, cpu_ms, memory_bytes, records_processed, mean_ms,
                                   slow, weekend, ended_at)
SELECT e.id, $2, e.duration_ms, c.cpu_ms, c.memory_bytes, e.rows_written, h.mean_ms,
       h.runs >= 5 AND e.duration_ms >= 10000 AND e.duration_ms > h.mean_ms * 1.5, $3, $4
  FROM ended e, cost c, history h
ON CONFLICT DO NOTHING
