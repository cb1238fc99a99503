-- Which of the tenant's staged days of run $1 an invoice has bound.
SELECT DISTINCT usage_date
  FROM staging.usage_figures JOIN app.usage_statistics AS recorded USING (tenant_id, usage_date)
 WHERE staging.usage_figures.run_id = $1 AND recorded.state = 'billed'
 ORDER BY usage_date
