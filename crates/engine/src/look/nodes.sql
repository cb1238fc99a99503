SELECT n.id, n.name, n.roles, n.version, n.real_started, n.real_heartbeat, n.real_planned, n.real_ended,
       CASE WHEN n.real_ended IS NOT NULL THEN 'left'
            WHEN n.real_heartbeat < clock_timestamp() - interval '30 seconds' THEN 'silent'
            WHEN n.draining THEN 'draining'
            ELSE 'lives' END AS state,
       (SELECT count(*) FROM yakin.jobs j WHERE j.state = 'running' AND j.node_id = n.id) AS running
  FROM yakin.nodes n
 WHERE n.real_heartbeat > clock_timestamp() - interval '1 day'
 ORDER BY n.id DESC LIMIT 200
