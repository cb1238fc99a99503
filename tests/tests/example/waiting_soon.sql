-- Only rows that change: a second run finds none.
UPDATE app.engineers e
   SET status = 'waiting_soon'
 WHERE e.tenant_id = $1 AND e.status = 'working'
   AND EXISTS (SELECT FROM app.assignments a
                WHERE (a.tenant_id, a.engineer_id) = (e.tenant_id, e.engineer_id)
                  AND a.planned_end_on BETWEEN $2 AND $3)
