-- When a delivery finally failed, so that an hour's failures are found whoever sent them.
SET LOCAL lock_timeout = '10s';
ALTER TABLE app.deliveries ADD COLUMN failed_at timestamptz;
COMMENT ON COLUMN app.deliveries.failed_at IS '最終的に失敗した (または結果が不明のまま終わった) 時刻';
CREATE INDEX deliveries_failed ON app.deliveries (failed_at) WHERE failed_at IS NOT NULL;
DROP INDEX app.deliveries_sent;
CREATE INDEX deliveries_sent ON app.deliveries (sent_at) WHERE state = 'sent' AND channel IN ('email', 'sms');
