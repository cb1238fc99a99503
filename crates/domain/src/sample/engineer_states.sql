-- What people have entered besides: some of those who wait without an assignment are on leave, and one state in 32 is
-- locked, however stale it is.
UPDATE app.engineers AS engineer
   SET status = CASE WHEN status = 'waiting' AND dice & 1 = 0 AND idle THEN 'on_leave' ELSE status END,
       status_locked = dice >> 10 & 31 = 0
  FROM (SELECT tenant_id, engineer_id, hashint8extended(engineer_id, $1) AS dice,
               NOT EXISTS (SELECT FROM app.assignments AS had
                            WHERE (had.tenant_id, had.engineer_id) = (engineers.tenant_id, engineers.engineer_id)) AS idle
          FROM app.engineers) AS thrown
 WHERE (engineer.tenant_id, engineer.engineer_id) = (thrown.tenant_id, thrown.engineer_id)
   AND status <> 'retired' AND (dice & 1 = 0 OR dice >> 10 & 31 = 0)
