-- Who gets the reports of every third tenant; here and there one of them has no address yet. The others' administrators.
INSERT INTO app.report_contacts (tenant_id, name, email)
SELECT tenant_id, 'レポートご担当', 'report@' || split_part(billing_email, '@', 2) FROM app.tenants WHERE tenant_id % 3 = 0
UNION ALL
SELECT tenant_id, '社長室', NULL FROM app.tenants WHERE tenant_id % 9 = 0
 ORDER BY 1, 2
