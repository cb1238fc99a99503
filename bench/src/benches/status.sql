-- Data of the status bench: {engineers} engineers of {tenants} tenants, an assignment each, of which a tenth ended, a
-- tenth ends within 90 days of {day} and the others go on; all stand as working, so that a fifth changes.
INSERT INTO app.tenants (tenant_id, code, name, created_on)
SELECT n, 't' || n, '株式会社' || n, '2020-01-01' FROM generate_series(1, {tenants}) AS n;
INSERT INTO app.tenant_status_history (tenant_id, since, status)
SELECT tenant_id, '2020-01-01T00:00:00+09:00', 'active' FROM app.tenants;
INSERT INTO app.engineers (tenant_id, engineer_id, name, joined_on)
SELECT 1 + n % {tenants}, n, 'エンジニア ' || n, '2020-04-01' FROM generate_series(1, {engineers}) AS n;
INSERT INTO app.projects (tenant_id, project_id, name, starts_on)
SELECT tenant_id, tenant_id, 'プロジェクト', '2026-01-01' FROM app.tenants;
INSERT INTO app.assignments (tenant_id, engineer_id, project_id, starts_on, planned_end_on)
SELECT tenant_id, engineer_id, tenant_id, '2026-01-05',
       date '{day}' + CASE engineer_id / {tenants} % 10 WHEN 0 THEN -10 WHEN 1 THEN 30 ELSE 200 END
  FROM app.engineers;
