-- Ends all open runs, their tenants and firings; nobody holds a lock, works or waits any more.
WITH open AS (
    UPDATE yakin.runs
       SET state = 'ended', outcome = 'failed', waiting_for = NULL, ended_at = $1, real_ended = clock_timestamp(),
           reason = 'interrupted: the database was restored from a backup; look at what is done, then rerun it'
     WHERE state <> 'ended'
    RETURNING id
), tenants AS (
    UPDATE yakin.run_tenants t SET state = 'failed', reason = 'interrupted', ended_at = $1
      FROM open o WHERE t.run_id = o.id AND t.state = 'waiting'
), firings AS (
    UPDATE yakin.firings f SET state = 'ended', outcome = 'failed', reason = 'interrupted', ended_at = $1
      FROM open o WHERE f.run_id = o.id AND f.state <> 'ended'
), locks AS (
    DELETE FROM yakin.locks
), lanes AS (
    UPDATE yakin.lanes SET running = 0, next_priority = NULL, next_id = NULL
), nodes AS (
    UPDATE yakin.nodes SET real_ended = clock_timestamp() WHERE real_ended IS NULL
)
SELECT id FROM open ORDER BY id
