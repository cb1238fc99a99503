-- Which of the tenant's staged days of run $1 are billed: bound by an invoice, or behind one that was issued without.
SELECT DISTINCT staged.usage_date
  FROM staging.usage_figures AS staged
 WHERE staged.run_id = $1
   AND (EXISTS (SELECT FROM app.usage_statistics AS recorded
                 WHERE (recorded.tenant_id, recorded.usage_date) = (staged.tenant_id, staged.usage_date)
                   AND recorded.state = 'billed')
        OR EXISTS (SELECT FROM app.invoices JOIN app.contracts USING (tenant_id, contract_id)
                    WHERE invoices.tenant_id = staged.tenant_id AND billing_engine = 'saas' AND kind = 'invoice'
                      AND state <> 'void' AND period_start <= staged.usage_date AND period_end > staged.usage_date
                      AND starts_on <= staged.usage_date AND (ends_on IS NULL OR ends_on >= staged.usage_date)))
 ORDER BY staged.usage_date
