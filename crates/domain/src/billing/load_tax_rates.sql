-- The standard rates of country $1 in the month $2 .. $3.
SELECT country, valid_from, rate
  FROM app.tax_rates AS version
 WHERE country = $1 AND kind = 'standard' AND valid_from < $3
   AND NOT EXISTS (SELECT FROM app.tax_rates AS later
                    WHERE (later.country, later.kind) = (version.country, version.kind)
                      AND later.valid_from > version.valid_from AND later.valid_from <= $2)
 ORDER BY valid_from
 LIMIT 100
