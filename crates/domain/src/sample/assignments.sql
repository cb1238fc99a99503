-- Working: the project goes on for more than three months, or without an end; waiting soon: it ends within them;
-- waiting: the last one has ended. One in sixteen "working" ones has ended as well: the status is stale.
INSERT INTO app.assignments (tenant_id, engineer_id, project_id, starts_on, planned_end_on)
SELECT engineers.tenant_id, engineer_id, first_project + (dice & 1023) % projects,
       greatest(joined_on, least(ends, today) - 60 - (dice >> 10 & 255)::integer),
       CASE WHEN status <> 'working' OR dice >> 50 & 7 > 0 THEN ends END
  FROM jsonb_to_recordset($1) AS tenant (tenant_id bigint, first_project bigint, projects integer)
  JOIN app.engineers ON engineers.tenant_id = tenant.tenant_id
 CROSS JOIN LATERAL (SELECT hashint8extended(engineer_id, $2) AS dice, $3::text::date AS today) AS thrown
 CROSS JOIN LATERAL (SELECT CASE
            WHEN status = 'waiting_soon' THEN today + (dice >> 20 & 1023)::integer % 90
            WHEN status = 'waiting' OR dice >> 30 & 15 = 0 THEN today - 1 - (dice >> 20 & 31)::integer
            ELSE today + 91 + (dice >> 20 & 511)::integer END AS ends) AS planned
 WHERE status <> 'retired' AND (status <> 'waiting' OR dice >> 40 & 1 = 0)
 ORDER BY engineers.tenant_id, engineer_id;
