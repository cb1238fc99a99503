-- The invoice of the month before the previous one, as the tenant itself: base fee by days, and API calls above the
-- allowance. $1 period start, $2 its end, $3 first billed day, $4 API calls, $5 today.
WITH amounts AS (
    SELECT tenants.tenant_id, tenants.code, tenants.currency, payment_terms_days, contracts.contract_id, plans.name,
           plans.base_fee, plans.api_rate_per_1000, tax_rates.rate,
           CASE currency_.code WHEN 'JPY' THEN 0 ELSE 2 END AS digits,
           round(($2::text::date - $3::text::date)::numeric / ($2::text::date - $1::text::date), 6) AS months,
           ceil(greatest(0, $4 - included_api_calls)::numeric / 1000) AS thousands
      FROM app.tenants
     CROSS JOIN LATERAL (SELECT tenants.currency AS code) AS currency_
      JOIN app.contracts ON contracts.tenant_id = tenants.tenant_id AND billing_engine = 'saas'
      JOIN LATERAL (SELECT plan_code FROM app.contract_plans
                     WHERE contract_plans.contract_id = contracts.contract_id AND starts_on < $2::text::date
                     ORDER BY starts_on DESC LIMIT 1) AS chosen ON true
      JOIN LATERAL (SELECT name, base_fee, api_rate_per_1000, included_api_calls FROM app.plans
                     WHERE plans.plan_code = chosen.plan_code AND valid_from <= $1::text::date
                     ORDER BY valid_from DESC LIMIT 1) AS plans ON true
      JOIN LATERAL (SELECT rate FROM app.tax_rates
                     WHERE tax_rates.country = tenants.country AND kind = 'standard' AND valid_from < $2::text::date
                     ORDER BY valid_from DESC LIMIT 1) AS tax_rates ON true
),
line AS (
    SELECT tenant_id, 1 AS line_no, 'base' AS item, '基本料金 (' || name || ')' AS description, months AS quantity,
           '月' AS unit, base_fee AS unit_price, round(base_fee * months, digits) AS amount, rate
      FROM amounts
    UNION ALL
    SELECT tenant_id, 2, 'api', 'API 超過', thousands, '1,000回', api_rate_per_1000,
           round(thousands * api_rate_per_1000, digits), rate
      FROM amounts WHERE thousands > 0
),
sums AS (
    SELECT amounts.tenant_id, subtotal, trunc(subtotal * rate, digits) AS tax
      FROM amounts JOIN (SELECT tenant_id, sum(amount) AS subtotal FROM line GROUP BY tenant_id) AS summed
     USING (tenant_id)
),
invoice AS (
    INSERT INTO app.invoices (tenant_id, contract_id, period_start, period_end, number, state, currency, subtotal, tax,
                              total, issued_on, due_on, usage_digest, snapshot, document_ready_at, sent_at, run_id)
    SELECT tenant_id, contract_id, $1::text::date, $2::text::date,
           'INV-' || to_char($1::text::date, 'YYYYMM') || '-' || code || '-0001',
           CASE WHEN tenant_id % 7 <> 3 THEN 'paid'
                WHEN $2::text::date + payment_terms_days < $5::text::date THEN 'overdue' ELSE 'issued' END,
           currency, subtotal, tax, subtotal + tax, $2::text::date, $2::text::date + payment_terms_days, 'sample', '{}',
           $2::text::timestamp AT TIME ZONE 'Asia/Tokyo' + interval '3 hours',
           $2::text::timestamp AT TIME ZONE 'Asia/Tokyo' + interval '3 hours 5 minutes', 0
      FROM amounts JOIN sums USING (tenant_id)
    RETURNING tenant_id, invoice_id, sent_at
),
lines AS (
    INSERT INTO app.invoice_lines (tenant_id, invoice_id, line_no, item, description, quantity, unit, unit_price,
                                   amount, tax_rate)
    SELECT tenant_id, invoice_id, line_no, item, description, quantity, unit, unit_price, amount, rate
      FROM invoice JOIN line USING (tenant_id)
),
taxes AS (
    INSERT INTO app.invoice_taxes (tenant_id, invoice_id, tax_rate, taxable, tax)
    SELECT tenant_id, invoice_id, rate, subtotal, tax
      FROM invoice JOIN amounts USING (tenant_id) JOIN sums USING (tenant_id)
),
counter AS (
    INSERT INTO app.invoice_counters (tenant_id, month, last_serial)
    SELECT tenant_id, $1::text::date, 1 FROM invoice
)
INSERT INTO app.invoice_events (tenant_id, invoice_id, happened_at, event, actor)
SELECT tenant_id, invoice_id, sent_at, 'issued', 'sample' FROM invoice;
