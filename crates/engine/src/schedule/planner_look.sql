-- What a planner's step has to do at $1: batches of this node ($2) planned less far than $3, due firings, open runs; and
-- when the next scheduled job is due.
SELECT ARRAY(SELECT id FROM yakin.batches
              WHERE enabled AND id = ANY ($2) AND (planned_until IS NULL OR planned_until < $3) ORDER BY id) AS to_plan,
       EXISTS (SELECT FROM yakin.firings WHERE state = 'planned' AND due_at <= $1) AS firings,
       EXISTS (SELECT FROM yakin.runs WHERE state <> 'ended') AS runs,
       (SELECT min(run_at) FROM yakin.jobs WHERE state = 'scheduled') AS next_job
