WITH node AS (
    UPDATE yakin.nodes
       SET real_heartbeat = clock_timestamp(),
           real_planned = coalesce(clock_timestamp() - make_interval(secs => $5), real_planned)
     WHERE id = $1
), held AS (
    SELECT * FROM unnest($3::bigint[], $4::bigint[]) AS h (id, token)
), extended AS (
    UPDATE yakin.jobs j SET lease_until = clock_timestamp() + make_interval(secs => $2)
     WHERE j.id IN (SELECT k.id FROM yakin.jobs k JOIN held USING (id)
                     WHERE k.token = held.token AND k.state = 'running'
                     ORDER BY k.id FOR UPDATE OF k SKIP LOCKED)
)
-- lost: gone, or running under another token
SELECT held.id, held.token FROM held
 WHERE NOT EXISTS (SELECT FROM yakin.jobs j WHERE j.id = held.id AND j.token = held.token AND j.state = 'running')
 ORDER BY held.id
