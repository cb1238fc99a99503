-- Days before $1 are no longer looked at: what was provisional is final.
UPDATE app.usage_statistics SET state = 'final' WHERE tenant_id = $2 AND usage_date < $1 AND state = 'provisional'
