-- Of the tenants with standing offers the first has always tracked openings, the second began ten days before $1; the
-- others do not.
UPDATE app.tenants AS tenant
   SET opens_tracked = daterange(CASE place WHEN 2 THEN $1::text::date - 10 END, NULL)
  FROM (SELECT tenant_id, row_number() OVER (ORDER BY tenant_id) AS place
          FROM (SELECT DISTINCT tenant_id FROM app.approaches) AS offering) AS ranked
 WHERE tenant.tenant_id = ranked.tenant_id AND place <= 2;
