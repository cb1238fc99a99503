-- US: an explicit rate of zero; without a row a tenant there could not be billed.
INSERT INTO app.tax_rates (country, kind, valid_from, rate)
VALUES ('JP', 'standard', DATE '2014-04-01', 0.08),
       ('JP', 'standard', DATE '2019-10-01', 0.10),
       ('US', 'standard', DATE '2000-01-01', 0)
    ON CONFLICT (country, kind, valid_from) DO NOTHING;
