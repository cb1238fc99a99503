-- The rescuer holds them under a new token and a new lease until it has settled them; the node that lost them stays
-- named.
UPDATE yakin.jobs j
   SET token = j.token + 1, lease_until = clock_timestamp() + make_interval(secs => $1)
 WHERE j.id IN (SELECT id FROM yakin.jobs
                 WHERE state = 'running' AND lease_until < clock_timestamp() AND batch_id = ANY ($2)
                 ORDER BY lease_until, id LIMIT 1000
                   FOR UPDATE SKIP LOCKED)
RETURNING j.*
