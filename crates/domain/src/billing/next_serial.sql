-- Waits for another invoice of the same tenant and month to commit or to roll back, and goes on from there: no gap.
INSERT INTO app.invoice_counters AS counter (tenant_id, month, last_serial)
VALUES (yakin.current_tenant(), $1, 1)
    ON CONFLICT (tenant_id, month) DO UPDATE SET last_serial = counter.last_serial + 1
RETURNING last_serial
