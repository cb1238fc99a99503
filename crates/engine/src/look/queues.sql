SELECT q.name, q.paused, q.reason, count(j.id) FILTER (WHERE j.state = 'ready') AS ready,
       count(j.id) FILTER (WHERE j.state = 'scheduled') AS scheduled,
       count(j.id) FILTER (WHERE j.state = 'running') AS running,
       extract(epoch FROM clock_timestamp() - min(j.real_ready) FILTER (WHERE j.state = 'ready'))::float8 AS oldest_seconds
  FROM yakin.queues q LEFT JOIN yakin.jobs j ON j.queue = q.name
 GROUP BY q.name ORDER BY q.name LIMIT 100
