-- Whether a contract that is billed by heads pays its base fee by days.
SET LOCAL lock_timeout = '10s';

ALTER TABLE app.contracts ADD COLUMN proration text NOT NULL DEFAULT 'none' CHECK (proration IN ('none', 'daily'));
COMMENT ON COLUMN app.contracts.proration IS '月の途中の開始・終了で基本料金を日割りするか (billing_engine = skillsheet)';
