-- Lists over all tenants read their page, not their table.
SET LOCAL lock_timeout = '10s';

-- Messages: those that need a person first, in each the newest; look/deliveries.sql asks in these very words. An update of
-- a message's state writes to each index already, so that this one costs an entry more per state it passes.
CREATE INDEX deliveries_by_urgency ON app.deliveries
    ((CASE WHEN state IN ('failed', 'uncertain') THEN 2
           WHEN state IN ('expired', 'pending', 'sending', 'retry_wait') THEN 1
           ELSE 0 END), delivery_id);

-- Invoices: the newest first, and those of a month for its evidence.
CREATE INDEX invoices_newest ON app.invoices (invoice_id);
CREATE INDEX invoices_issued ON app.invoices (issued_on);

-- The acts of a month, for its evidence.
CREATE INDEX audit_by_time ON yakin.audit (real_time);
