-- What was invoiced for the months with first days $1, by currency: issued invoices and adjustments, void ones left out.
SELECT first, currency, count(*) AS invoices, count(DISTINCT tenant_id) AS companies, sum(subtotal) AS subtotal,
       sum(tax) AS tax, sum(total) AS total,
       count(*) FILTER (WHERE held_at IS NOT NULL AND released_by IS NULL) AS held
  FROM unnest($1::date[]) AS month (first)
  JOIN app.invoices ON period_start >= first AND period_start < (first + interval '1 month')::date
 WHERE state IN ('issued', 'paid', 'overdue')
 GROUP BY first, currency
 ORDER BY currency, first
