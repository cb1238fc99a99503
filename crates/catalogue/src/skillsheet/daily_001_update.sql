-- Judges the engineers of tenant $1 for day $2 and writes what changes, with its history, for run $3 at $4. An end within
-- $5 days is soon; a follow-on that begins within $6 days of an end goes on with it. Where at least $7 engineers and more
-- than $8 percent would change, the tenant is held and nothing is written, unless $9. $10 limits the lists.
-- (Engineers meet their assignments once, by key; all after that is grouping: a plan made without statistics is no trap.)
WITH assigned AS (
    SELECT e.engineer_id, e.name, e.status, a.assignment_id, a.starts_on,
           coalesce(a.actual_end_on, a.planned_end_on) AS ends_on,
           CASE WHEN a.confirmed OR a.starts_on <= $2
                THEN coalesce(a.actual_end_on, a.planned_end_on, 'infinity') END AS until
      FROM app.engineers e LEFT JOIN app.assignments a USING (tenant_id, engineer_id)
     WHERE e.tenant_id = $1 AND e.status IN ('working', 'waiting_soon', 'waiting') AND NOT e.status_locked
       AND e.deleted_at IS NULL
), placed AS (
    SELECT engineer_id, name, status, assignment_id, starts_on, ends_on, until,
           max(until) OVER (PARTITION BY engineer_id ORDER BY starts_on, assignment_id
                            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS ended_before
      FROM assigned
), linked AS (
    -- a chain: assignments of which each begins before, or soon after, all earlier ones have ended
    SELECT engineer_id, name, status, assignment_id, starts_on, ends_on, until,
           count(*) FILTER (WHERE until IS NOT NULL AND (ended_before IS NULL OR starts_on > ended_before + $6))
               OVER (PARTITION BY engineer_id ORDER BY starts_on, assignment_id) AS chain
      FROM placed
), chained AS (
    SELECT engineer_id, name, status, max(until) AS until, min(starts_on) FILTER (WHERE until IS NOT NULL) AS starts_on,
           min(assignment_id) FILTER (WHERE ends_on < starts_on) AS contradiction,
           min(assignment_id) FILTER (WHERE ends_on IS NULL AND starts_on <= $2) AS endless
      FROM linked GROUP BY engineer_id, name, status, chain
), managed AS (
    SELECT engineer_id, name, status, min(contradiction) AS contradiction, min(endless) AS endless,
           max(until) FILTER (WHERE starts_on <= $2 AND until >= $2) AS ends_on
      FROM chained GROUP BY engineer_id, name, status
), judged AS (
    SELECT engineer_id, name, status, ends_on,
           CASE WHEN ends_on IS NULL THEN 'waiting' WHEN ends_on <= $2 + $5 THEN 'waiting_soon'
                ELSE 'working' END AS judged
      FROM managed WHERE contradiction IS NULL
), wanted AS (
    SELECT engineer_id, name, status, judged, ends_on FROM judged WHERE judged <> status
), staff AS (
    SELECT count(*) AS engineers FROM app.engineers
     WHERE tenant_id = $1 AND status <> 'retired' AND deleted_at IS NULL
), verdict AS (
    SELECT engineers, changes, changes >= $7 AND changes * 100 > engineers * $8 AS held
      FROM staff, (SELECT count(*) AS changes FROM wanted) AS counted
), changed AS (
    UPDATE app.engineers e SET status = w.judged
      FROM wanted w, verdict v
     WHERE e.tenant_id = $1 AND e.engineer_id = w.engineer_id AND (NOT v.held OR $9)
       -- what a person changed or locked meanwhile stays
       AND e.status = w.status AND NOT e.status_locked
    RETURNING e.engineer_id, w.name, w.status AS from_status, w.judged AS to_status,
              nullif(w.ends_on, 'infinity') AS ends_on
), history AS (
    INSERT INTO app.engineer_status_history (tenant_id, engineer_id, status_on, from_status, to_status, reason, ends_on,
                                             run_id, changed_at)
    SELECT $1, engineer_id, $2, from_status, to_status,
           CASE to_status WHEN 'waiting' THEN 'no_assignment' WHEN 'waiting_soon' THEN 'ends_soon' ELSE 'goes_on' END,
           ends_on, $3, $4
      FROM changed ORDER BY engineer_id
)
SELECT v.engineers, v.changes AS wanted, v.held, (SELECT count(*) FROM managed) AS judged,
       (SELECT count(*) FROM managed WHERE contradiction IS NOT NULL) AS contradictory,
       (SELECT count(*) FROM managed WHERE endless IS NOT NULL) AS endless,
       count(*) FILTER (WHERE to_status = 'working') AS to_working,
       count(*) FILTER (WHERE to_status = 'waiting_soon') AS to_waiting_soon,
       count(*) FILTER (WHERE to_status = 'waiting') AS to_waiting,
       (SELECT coalesce(jsonb_agg(to_jsonb(f)), '[]')
          FROM (SELECT name, from_status, to_status, ends_on FROM changed
                 ORDER BY to_status, ends_on NULLS FIRST, engineer_id LIMIT $10) AS f) AS first_changes,
       (SELECT coalesce(jsonb_agg(to_jsonb(f)), '[]')
          FROM (SELECT engineer_id AS engineer, contradiction AS assignment FROM managed
                 WHERE contradiction IS NOT NULL ORDER BY engineer_id LIMIT $10) AS f) AS first_contradictory,
       (SELECT coalesce(jsonb_agg(to_jsonb(f)), '[]')
          FROM (SELECT engineer_id AS engineer, endless AS assignment FROM managed
                 WHERE endless IS NOT NULL ORDER BY engineer_id LIMIT $10) AS f) AS first_endless
  FROM verdict v LEFT JOIN changed ON true
 GROUP BY v.engineers, v.changes, v.held
