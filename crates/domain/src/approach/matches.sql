-- Whom approach $8 offers on day $1: skills $2 at levels $3, areas $4, rate up to $5, start by $6, states $7; at most $11.
WITH wanted AS (
    SELECT skill_id, level FROM unnest($2::text[], $3::smallint[]) AS w (name, level) JOIN app.skills USING (name)
), candidate AS (
    SELECT e.engineer_id, e.name, e.status, t.area, t.monthly_rate,
           -- terms say it; else whoever is free is free at once, and whoever works the day after his last assignment
           coalesce(t.available_on, CASE e.status WHEN 'waiting' THEN $1 ELSE
               (SELECT CASE WHEN bool_and(ends_on IS NOT NULL) THEN max(ends_on) + 1 END
                  FROM app.assignments AS a
                 CROSS JOIN LATERAL (SELECT coalesce(actual_end_on, planned_end_on) AS ends_on) AS known
                 WHERE (a.tenant_id, a.engineer_id) = (e.tenant_id, e.engineer_id) AND starts_on <= $1
                   AND coalesce(ends_on >= $1, true)) END) AS free_on
      FROM app.engineers AS e LEFT JOIN app.engineer_terms AS t USING (tenant_id, engineer_id)
     WHERE e.tenant_id = yakin.current_tenant() AND e.status = ANY ($7) AND NOT e.status_locked
       AND e.deleted_at IS NULL
       AND t.opted_out_at IS NULL AND NOT coalesce(t.withheld, false)
       AND NOT EXISTS (SELECT FROM app.approach_exclusions AS x
                        WHERE (x.tenant_id, x.engineer_id) = (e.tenant_id, e.engineer_id))
       AND (cardinality($4::text[]) = 0 OR t.area = ANY ($4))
       AND ($5::numeric IS NULL OR t.monthly_rate <= $5)
), fitting AS (
    SELECT c.engineer_id, c.name, c.status, c.area, c.monthly_rate, c.free_on, c.free_on <= $1 AS at_once,
           own.skills, coalesce(own.fit, 0) AS fit
      FROM candidate AS c
     CROSS JOIN LATERAL (
           SELECT string_agg(s.name || ' ' || k.level, ', ' ORDER BY w.skill_id IS NULL, k.level DESC, s.name) AS skills,
                  count(w.skill_id) AS met, sum(k.level) FILTER (WHERE w.skill_id IS NOT NULL) AS fit
             FROM app.engineer_skills AS k JOIN app.skills AS s USING (skill_id)
             LEFT JOIN wanted AS w ON w.skill_id = k.skill_id AND k.level >= w.level
            WHERE k.tenant_id = yakin.current_tenant() AND k.engineer_id = c.engineer_id) AS own
     WHERE own.met = cardinality($2::text[]) AND ($6::date IS NULL OR c.free_on <= $6)
), told AS (
    SELECT f.engineer_id, f.name, f.area, f.monthly_rate, f.free_on, f.fit, coalesce(f.at_once, false) AS at_once,
           coalesce(f.skills, '') AS skills,
           md5(concat_ws('|', f.name, f.status, f.area, f.monthly_rate, CASE WHEN f.at_once THEN 'now'
                              ELSE f.free_on::text END, f.skills)) AS digest
      FROM fitting AS f
), before AS (
    SELECT said.engineer_id, said.digest
      FROM app.approach_deliveries AS d
     CROSS JOIN LATERAL jsonb_to_recordset(d.engineers) AS said (engineer_id bigint, digest text)
     WHERE d.tenant_id = yakin.current_tenant() AND d.approach_id = $8 AND d.due_at >= $9 AND d.due_at < $10
)
SELECT engineer_id, name, area, monthly_rate, free_on AS available_on, at_once, skills, digest,
       (engineer_id, digest) IN (SELECT engineer_id, digest FROM before) AS continued
  FROM told
 ORDER BY continued, CASE WHEN at_once THEN $1 ELSE free_on END NULLS LAST, fit DESC, engineer_id
 LIMIT $11
