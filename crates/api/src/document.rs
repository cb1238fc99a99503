//! The OpenAPI document: what the routes say of themselves, and what all of them have in common.

use serde_json::json;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, ContentBuilder, HeaderBuilder, InfoBuilder, LicenseBuilder, OpenApi,
    OpenApiBuilder, Ref, RefOr, ResponseBuilder, ServerBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use crate::guard::Rule;
use crate::problem::Problem;

/// The tags, in the order of the document.
const TAGS: &[(&str, &str)] = &[
    ("jobs", "The specifications' routes: run a batch, see how it stands."),
    ("catalogue", "The batches: specification, schedule, operators' settings."),
    ("firings", "What is planned, and what became of it."),
    ("runs", "What runs and ran, tenant by tenant."),
    ("queue", "Unfinished jobs, queues, dead letters, nodes."),
    ("alerts", "What needs a person."),
    ("tenants", "What tenants get: invoices, messages, usage."),
    ("evidence", "What an auditor asks for."),
    ("node", "This node: metrics, health, this document."),
];

/// The document before its routes.
pub fn begin() -> OpenApi {
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "A token of `yakin token create NAME --role viewer|operator|admin [--tenant CODE]`.",
        ))
        .build();
    let cron = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The cron secret, `[api] cron_secret_file`."))
        .build();
    let signature = ApiKeyValue::with_description(
        "x-vercel-signature",
        "HMAC-SHA1 of the body under the cron secret, in hex; the body says `createdAt`.",
    );
    let mut components = Components::new();
    components.add_security_scheme("token", SecurityScheme::Http(token));
    components.add_security_scheme("cron", SecurityScheme::Http(cron));
    components.add_security_scheme("signature", SecurityScheme::ApiKey(ApiKey::Header(signature)));
    components.schemas.insert(Problem::name().into_owned(), Problem::schema());
    let tags = TAGS
        .iter()
        .map(|(name, what)| TagBuilder::new().name(*name).description(Some(*what)).build());
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Yakin")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(
                    "Operate the night shift: every batch, firing, run and dead letter. Errors are RFC 9457 problems; \
                     lists come by pages (`limit`, `cursor`); instants are RFC 3339, days Tokyo's; money is decimal text.",
                ))
                .license(Some(
                    LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build(),
                ))
                .build(),
        )
        .servers(Some([ServerBuilder::new().url("/").description(Some("this node")).build()]))
        .components(Some(components))
        .tags(Some(tags))
        .build()
}

/// Says a rule in each operation of a group: who may, and what is answered to the others.
pub fn say_rule(document: &mut OpenApi, rule: Rule) {
    let scope = if rule.scoped { "tenants" } else { "all" };
    for operation in operations(document) {
        operation.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new())]);
        operation.extensions.get_or_insert_default().merge(
            ExtensionsBuilder::new()
                .add("x-role", json!(rule.role.word()))
                .add("x-scope", json!(scope))
                .build(),
        );
        problem(operation, "401", "No token, or none that is good.");
        problem(operation, "403", "The token may not do this.");
        say_usual(operation);
    }
}

/// Says in an operation what may be answered to every call.
pub fn say_usual(operation: &mut Operation) {
    problem(operation, "400", "The call cannot be read.");
    problem(operation, "413", "The body is too large.");
    problem(operation, "429", "Too many calls; `Retry-After` says how long to wait.");
    problem(operation, "503", "The database does not answer, or the call took too long.");
    if operation.request_body.is_some() {
        problem(operation, "415", "The body is not JSON.");
        problem(operation, "422", "What the body says may not be.");
    }
    let in_path = operation.parameters.iter().flatten().any(|p| match p {
        RefOr::T(p) => p.parameter_in == utoipa::openapi::path::ParameterIn::Path,
        RefOr::Ref(_) => false,
    });
    if in_path {
        problem(operation, "404", "There is no such thing.");
    }
}

fn problem(operation: &mut Operation, status: &str, what: &str) {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    operation.responses.responses.entry(status.to_owned()).or_insert_with(|| {
        let mut answer =
            ResponseBuilder::new().description(what).content("application/problem+json", content);
        if matches!(status, "429" | "503") {
            let wait =
                HeaderBuilder::new().schema(Some(u64::schema())).description(Some("seconds"));
            answer = answer.header("Retry-After", wait.build());
        }
        RefOr::T(answer.build())
    });
}

/// Names each operation by its method and path: `get_runs_run_logs`.
pub fn name_operations(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let words = path.trim_start_matches("/admin/batch").replace(['/', '-', '.'], "_");
        let words = words.replace(['{', '}'], "");
        let named = [("get", &mut item.get), ("post", &mut item.post)];
        for (method, operation) in named {
            if let Some(operation) = operation {
                operation.operation_id = Some(format!("{method}{words}"));
            }
        }
    }
}

/// All operations of a document.
pub fn operations(document: &mut OpenApi) -> impl Iterator<Item = &mut Operation> {
    document.paths.paths.values_mut().flat_map(|item| {
        [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch]
            .into_iter()
            .filter_map(Option::as_mut)
    })
}
