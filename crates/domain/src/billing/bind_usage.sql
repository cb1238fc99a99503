-- From here on these days are on an invoice: a later difference becomes a correction.
UPDATE app.usage_statistics
   SET state = 'billed'
 WHERE tenant_id = yakin.current_tenant() AND usage_date >= $1 AND usage_date < $2 AND state <> 'billed'
