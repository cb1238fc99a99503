INSERT INTO app.invoice_lines (tenant_id, invoice_id, line_no, item, description, quantity, unit, unit_price, amount,
                               tax_rate)
SELECT yakin.current_tenant(), $1, line_no, item, description, quantity, unit, unit_price, amount, tax_rate
  FROM ROWS FROM (jsonb_to_recordset($2) AS (item text, description text, quantity numeric, unit text,
                                             unit_price numeric, amount numeric, tax_rate numeric))
       WITH ORDINALITY AS line (item, description, quantity, unit, unit_price, amount, tax_rate, line_no)
 ORDER BY line_no
