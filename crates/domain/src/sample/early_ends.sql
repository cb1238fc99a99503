-- One assignment in 64 ended earlier than planned. With faults, one of tenant $3 ends before it began, and three quarters
-- of tenant $4's were entered anew with yesterday as their end.
UPDATE app.assignments AS assignment
   SET actual_end_on = CASE
           WHEN tenant_id = $3 AND assignment_id = (SELECT min(assignment_id) FROM app.assignments WHERE tenant_id = $3)
           THEN starts_on - 1
           WHEN tenant_id = $4 AND dice & 3 > 0 THEN today - 1
           WHEN dice >> 10 & 63 = 0 THEN today - 1 - (dice >> 20 & 15)::integer END
  FROM (SELECT assignment_id AS id, hashint8extended(assignment_id, $1) AS dice, $2::text::date AS today
          FROM app.assignments) AS thrown
 WHERE assignment_id = id AND starts_on < today - 30
   AND (dice >> 10 & 63 = 0 OR tenant_id = $4 AND dice & 3 > 0
        OR tenant_id = $3 AND assignment_id = (SELECT min(assignment_id) FROM app.assignments WHERE tenant_id = $3))
   AND (planned_end_on IS NULL OR planned_end_on >= today OR tenant_id = $3)
