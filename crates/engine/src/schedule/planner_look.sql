-- What a planner's step has to do at $1: batches of this node ($2) planned less far than $3, due firings, arrivals to
-- start for, open runs; and when the next scheduled job, and the next arrival that is not due yet, come due.
SELECT ARRAY(SELECT id FROM yakin.batches
              WHERE enabled AND id = ANY ($2) AND (planned_until IS NULL OR planned_until < $3) ORDER BY id) AS to_plan,
       EXISTS (SELECT FROM yakin.firings WHERE state = 'planned' AND due_at <= $1) AS firings,
       EXISTS (SELECT FROM yakin.arrivals_to_start WHERE batch_id = ANY ($2) AND due_at <= $1) AS arrivals,
       EXISTS (SELECT FROM yakin.runs WHERE state <> 'ended') AS runs,
       (SELECT min(run_at) FROM yakin.jobs WHERE state = 'scheduled') AS next_job,
       (SELECT min(due_at) FROM yakin.arrivals WHERE due_at > $1) AS next_arrival
