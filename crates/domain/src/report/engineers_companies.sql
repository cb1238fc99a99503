-- By company: changes into and out of waiting from $1 up to $2, and confirmed assignments of people who are there that
-- end within 30, 60 and 90 days from $2. Companies without any of it are left out.
WITH flow AS (
    SELECT tenant_id, count(*) FILTER (WHERE to_status = 'waiting') AS to_waiting,
           count(*) FILTER (WHERE from_status = 'waiting' AND to_status IN ('working', 'waiting_soon')) AS from_waiting
      FROM app.engineer_status_history WHERE status_on >= $1 AND status_on < $2 GROUP BY tenant_id
), ending AS (
    SELECT tenant_id, count(*) FILTER (WHERE last_day < $2 + 30) AS within_30,
           count(*) FILTER (WHERE last_day >= $2 + 30 AND last_day < $2 + 60) AS within_60,
           count(*) FILTER (WHERE last_day >= $2 + 60) AS within_90
      FROM (SELECT a.tenant_id, coalesce(a.actual_end_on, a.planned_end_on) AS last_day
              FROM app.assignments a JOIN app.engineers e USING (tenant_id, engineer_id)
             WHERE a.confirmed AND e.deleted_at IS NULL AND e.status <> 'retired' AND a.starts_on < $2 + 90) AS assignment
     WHERE last_day >= $2 AND last_day < $2 + 90
     GROUP BY tenant_id
)
SELECT t.code, t.name, coalesce(to_waiting, 0) AS to_waiting, coalesce(from_waiting, 0) AS from_waiting,
       coalesce(within_30, 0) AS within_30, coalesce(within_60, 0) AS within_60, coalesce(within_90, 0) AS within_90
  FROM app.tenants t LEFT JOIN flow USING (tenant_id) LEFT JOIN ending USING (tenant_id)
 WHERE flow.tenant_id IS NOT NULL OR ending.tenant_id IS NOT NULL
 ORDER BY coalesce(within_30, 0) + coalesce(within_60, 0) + coalesce(within_90, 0) DESC, t.code
 LIMIT 20000
