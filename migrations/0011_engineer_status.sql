-- The states of engineers as DAILY_001 keeps them: what it judges by, what it leaves alone, and what it changed.
SET LOCAL lock_timeout = '10s';

ALTER TABLE app.engineers
    ADD COLUMN status_locked boolean NOT NULL DEFAULT false,
    ADD COLUMN deleted_at timestamptz,
    DROP CONSTRAINT engineers_status_check,
    ADD CONSTRAINT engineers_status_check
        CHECK (status IN ('working', 'waiting_soon', 'waiting', 'on_leave', 'retired'));
COMMENT ON COLUMN app.engineers.status IS '稼働中、待機予定、待機中は DAILY_001 が毎日判定する。休職、退職は人が入れる';
COMMENT ON COLUMN app.engineers.status_locked IS '状態を固定する (バッチは変えない)';

-- Assignments from before this migration were entered as agreed ones.
ALTER TABLE app.assignments
    ADD COLUMN actual_end_on date,
    ADD COLUMN confirmed boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN app.assignments.actual_end_on IS '実際の最終日。あれば planned_end_on より優先する';
COMMENT ON COLUMN app.assignments.confirmed IS '確定したアサインか';

CREATE INDEX assignments_of_engineer ON app.assignments (tenant_id, engineer_id);

CREATE TABLE app.engineer_status_history (
    tenant_id bigint NOT NULL REFERENCES app.tenants,
    change_id bigint GENERATED ALWAYS AS IDENTITY,
    engineer_id bigint NOT NULL,
    status_on date NOT NULL,
    from_status text NOT NULL,
    to_status text NOT NULL,
    reason text NOT NULL CHECK (reason IN ('no_assignment', 'ends_soon', 'goes_on', 'by_hand')),
    ends_on date,
    run_id bigint,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, change_id),
    FOREIGN KEY (tenant_id, engineer_id) REFERENCES app.engineers,
    CHECK (from_status <> to_status),
    CHECK ((run_id IS NULL) = (reason = 'by_hand'))
);
COMMENT ON TABLE app.engineer_status_history IS 'エンジニア状態の履歴';
COMMENT ON COLUMN app.engineer_status_history.status_on IS '判定した日';
COMMENT ON COLUMN app.engineer_status_history.ends_on IS '判定のもとになった最終日';
COMMENT ON COLUMN app.engineer_status_history.run_id IS '変えた実行、NULL = 人';
CREATE UNIQUE INDEX engineer_status_history_once ON app.engineer_status_history (tenant_id, engineer_id, run_id);
CREATE INDEX engineer_status_history_by_day ON app.engineer_status_history (tenant_id, status_on);
CREATE INDEX engineer_status_history_by_time ON app.engineer_status_history (tenant_id, changed_at);
CALL yakin.wall('app.engineer_status_history', 'SELECT, INSERT', 'SELECT, INSERT');

-- Whom a notification without a user is for.
ALTER TABLE app.notifications
    ADD COLUMN audience text NOT NULL DEFAULT 'admin' CHECK (audience IN ('admin', 'sales'));
COMMENT ON COLUMN app.notifications.user_id IS '宛先の利用者、NULL は audience の全員';
COMMENT ON COLUMN app.notifications.audience IS '利用者を名指ししない通知の宛先: 管理者か営業';
