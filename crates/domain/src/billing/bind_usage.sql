-- From here on these days are on an invoice: a later difference becomes a correction. A day that was released without
-- a record stays open, so that its record can still come.
UPDATE app.usage_statistics AS day
   SET state = 'billed'
 WHERE tenant_id = yakin.current_tenant() AND usage_date >= $1 AND usage_date < $2 AND state <> 'billed'
   AND EXISTS (SELECT FROM app.tenant_usage_daily AS priced
                WHERE (priced.tenant_id, priced.usage_date) = (day.tenant_id, day.usage_date))
