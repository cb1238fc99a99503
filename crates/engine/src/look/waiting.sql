SELECT (SELECT count(*) FROM yakin.nodes
         WHERE real_ended IS NULL AND real_heartbeat > clock_timestamp() - interval '30 seconds') AS nodes,
       (SELECT count(*) FROM yakin.dead_letters WHERE state = 'waiting') AS dead_letters,
       (SELECT count(*) FROM yakin.alerts WHERE resolved_at IS NULL) AS alerts,
       (SELECT count(*) FROM yakin.jobs
         WHERE state = 'ready' AND real_ready < clock_timestamp() - interval '5 minutes') AS overdue
