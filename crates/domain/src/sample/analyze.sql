ANALYZE app.holdings, app.tenants, app.tenant_status_history, app.plans, app.tax_rates, app.contracts,
        app.contract_plans, app.discounts, app.users, app.departments, app.positions, app.engineers, app.skills,
        app.engineer_skills, app.projects, app.assignments, app.notifications, app.files, app.api_call_logs,
        app.login_logs, app.report_generation_logs, app.user_sessions, app.compute_usage_logs, app.network_usage_logs,
        app.feature_usage_logs, app.engineer_activity_logs, app.invoices, app.invoice_lines, app.invoice_taxes,
        app.tokens, app.session_policies, app.integrations, app.notification_settings, app.company_usage_daily,
        app.approaches, app.engineer_terms, app.approach_deliveries, app.approach_events, app.deliveries, app.delivery_keys,
        app.availability_probes;
