-- A lane that wakes takes its turn with the others: with the first of those that wait, or, in a queue where none does, with
-- the last that was served. Lanes at their cap wait for their own jobs to end, and hold nobody's turn back.
CREATE OR REPLACE FUNCTION yakin.wake_lanes(p_ids bigint[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    UPDATE yakin.lanes l
       SET turn = CASE WHEN l.next_id IS NULL THEN greatest(l.turn, present.turn) ELSE l.turn END,
           next_priority = first.priority, next_id = first.id
      FROM (SELECT DISTINCT ON (j.queue, j.tenant_id) j.queue, j.tenant_id, j.priority, j.id
              FROM unnest(p_ids) AS woken (id) CROSS JOIN LATERAL (
                   SELECT k.queue, k.tenant_id, k.priority, k.id FROM yakin.jobs k
                    -- (said so that only the key can find the row, no index of ready jobs)
                    WHERE k.id = woken.id AND left(k.state, 5) = 'ready' LIMIT 1) AS j
             ORDER BY j.queue, j.tenant_id, j.priority, j.id) AS first
      LEFT JOIN (SELECT queue, coalesce(min(turn) FILTER (WHERE next_id IS NOT NULL AND (cap IS NULL OR running < cap)),
                                        max(turn)) AS turn
                   FROM yakin.lanes GROUP BY queue) AS present
        USING (queue)
     WHERE (l.queue, l.tenant_id) = (first.queue, first.tenant_id)
       AND (l.next_id IS NULL OR (first.priority, first.id) < (l.next_priority, l.next_id));
END $$;

-- Replacing a function forgets its settings: see 0008 and 0009.
ALTER FUNCTION yakin.wake_lanes(bigint[]) SET enable_seqscan = off;
ALTER FUNCTION yakin.wake_lanes(bigint[]) SET jit = off;
ALTER FUNCTION yakin.wake_lanes(bigint[]) SET plan_cache_mode = force_generic_plan;

DROP SEQUENCE yakin.lane_turns;
