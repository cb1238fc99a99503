INSERT INTO app.tenants (code, name, holding_id, status, country, currency, language, billing_name, billing_address,
                         billing_email, payment_terms_days, billing_cycle, platform_relay, created_on)
SELECT code, name, holding_id, status, country, currency, language, name, billing_address,
       'billing@' || code || '.example', payment_terms_days, billing_cycle, true, created_on
  FROM jsonb_to_recordset($1) AS tenant (
       n bigint, code text, name text, holding_id bigint, status text, country text, currency text, language text,
       billing_address text, payment_terms_days integer, billing_cycle text, created_on date)
 ORDER BY n
RETURNING code, tenant_id;
