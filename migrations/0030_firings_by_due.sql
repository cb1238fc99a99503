-- A day's firings in the order of their instants, page by page.
CREATE INDEX firings_by_due ON yakin.firings (due_at, batch_id, planned_at);
