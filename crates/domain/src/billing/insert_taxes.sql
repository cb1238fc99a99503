INSERT INTO app.invoice_taxes (tenant_id, invoice_id, tax_rate, taxable, tax)
SELECT yakin.current_tenant(), $1, tax_rate, taxable, tax
  FROM jsonb_to_recordset($2) AS by_rate (tax_rate numeric, taxable numeric, tax numeric)
 ORDER BY tax_rate
