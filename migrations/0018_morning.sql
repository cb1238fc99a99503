-- The morning's report goes to those who run Yakin on the ways of alerts: once a day and way.
SET LOCAL lock_timeout = '10s';
ALTER TABLE yakin.alert_messages
    ALTER COLUMN alert_id DROP NOT NULL,
    ADD COLUMN morning date,
    DROP CONSTRAINT alert_messages_what_check,
    ADD CONSTRAINT alert_messages_what_check CHECK (what IN ('opened', 'reminded', 'resolved', 'morning')),
    ADD CONSTRAINT alert_messages_of_check
        CHECK ((what = 'morning') = (morning IS NOT NULL) AND (what = 'morning') = (alert_id IS NULL));
COMMENT ON TABLE yakin.alert_messages IS 'アラートと朝の報告の通知 (経路ごと、届くまで)';
COMMENT ON COLUMN yakin.alert_messages.morning IS 'どの日の朝の報告か';
CREATE UNIQUE INDEX alert_messages_morning ON yakin.alert_messages (morning, route) WHERE morning IS NOT NULL;

-- What is looked at every few seconds finds its rows however many runs of each minute and arrival there are.
CREATE INDEX runs_troubled ON yakin.runs (ended_at) WHERE outcome IN ('failed', 'partial', 'skipped');
CREATE INDEX firings_missed ON yakin.firings (ended_at) WHERE outcome = 'missed';
CREATE INDEX runs_rerun_of ON yakin.runs (rerun_of) WHERE rerun_of IS NOT NULL;
