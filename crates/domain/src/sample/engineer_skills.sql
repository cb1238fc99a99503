-- Three to nine skills each, in steps through a list whose length is a prime: never the same one twice.
INSERT INTO app.engineer_skills (tenant_id, engineer_id, skill_id, level)
SELECT tenant_id, engineer_id, known.skill_id, 1 + (((dice >> 20 & 255) + (depth >> k * 8 & 255)) * 4 >> 9)
  FROM app.engineers
 CROSS JOIN LATERAL (SELECT hashint8extended(engineer_id, $2) AS dice,
                            hashint8extended(engineer_id, $2 + 1) AS depth) AS thrown
 CROSS JOIN generate_series(0, (2 + (dice >> 28 & 1023) % 6)::integer) AS acquired (k)
 CROSS JOIN LATERAL (SELECT 1 + ((dice & 1023) + k * (1 + (dice >> 10 & 1023) % 60)) % 61 AS place) AS step
 CROSS JOIN LATERAL (SELECT ($1::bigint[])[place] AS skill_id) AS known
 ORDER BY tenant_id, engineer_id, k;
