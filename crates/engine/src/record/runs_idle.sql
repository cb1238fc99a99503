-- Open runs without unfinished jobs (follow-ups do not hold a run open), those that wait, and those to be cancelled.
SELECT r.id, r.batch_id
  FROM yakin.runs r
 WHERE r.state <> 'ended' AND r.batch_id = ANY ($1)
   AND (r.state = 'waiting' OR r.cancel_requested
        OR NOT EXISTS (SELECT FROM yakin.jobs j WHERE j.run_id = r.id AND j.kind <> 'follow_up'))
 ORDER BY r.id LIMIT 500
