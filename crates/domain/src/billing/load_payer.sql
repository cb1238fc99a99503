SELECT tenant_id, code, name, country, currency, language, billing_name, billing_address, billing_cycle,
       payment_terms_days
  FROM app.tenants
 WHERE tenant_id = yakin.current_tenant()
