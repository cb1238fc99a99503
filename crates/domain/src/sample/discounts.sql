INSERT INTO app.discounts (tenant_id, kind, items, value, description, valid_from, valid_to)
SELECT tenant_id, kind, items, value, description, valid_from, valid_to
  FROM jsonb_to_recordset($1) AS discount (
       tenant_id bigint, kind text, items text[], value numeric, description text, valid_from date, valid_to date)
 ORDER BY tenant_id;
