//! Who may: each group of routes names the role it takes, and whether tokens of some tenants only may come.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use axum::middleware::Next;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use yakin_engine::access::{Caller, Role};

use crate::app::App;
use crate::document;
use crate::problem::Problem;

/// What a group of routes asks of its callers.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub role: Role,
    /// Tokens that are for some tenants only may come; the route looks to it that they see and do nothing else.
    pub scoped: bool,
}

/// Puts a group of routes behind its rule, and says so in the document.
pub fn behind(rule: Rule, app: &App, mut group: OpenApiRouter<App>) -> OpenApiRouter<App> {
    document::say_rule(group.get_openapi_mut(), rule);
    group.route_layer(axum::middleware::from_fn_with_state((app.clone(), rule), guard))
}

async fn guard(
    State((app, rule)): State<(App, Rule)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let token = bearer(request.headers()).ok_or_else(Problem::unauthorized);
    let from = peer(request.extensions());
    let caller = match token {
        Ok(token) => app.caller(token, from).await?,
        Err(problem) => {
            app.stranger(from)?;
            return Err(problem);
        }
    };
    if caller.role < rule.role {
        return Err(Problem::forbidden(format!(
            "token '{}' is {}'s; this takes {}'s",
            caller.name,
            caller.role.word(),
            rule.role.word()
        )));
    }
    if caller.tenants.is_some() && !rule.scoped {
        return Err(Problem::forbidden(format!(
            "token '{}' is for some tenants only; this concerns all",
            caller.name
        )));
    }
    request.extensions_mut().insert(By(caller));
    Ok(next.run(request).await)
}

/// Keeps those without a token to their pace.
pub async fn slow_strangers(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    app.stranger(peer(request.extensions()))?;
    Ok(next.run(request).await)
}

/// The token of an `Authorization: Bearer` header.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Where a call came from, as its connection said.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// The address a call came from.
pub fn peer(extensions: &Extensions) -> IpAddr {
    extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip())
}

/// The caller, of a route behind a rule.
#[derive(Clone)]
pub struct By(pub Arc<Caller>);

impl By {
    /// The tenants the caller is bound to.
    pub fn tenants(&self) -> Option<&[i64]> {
        self.0.tenants.as_deref()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for By {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<By, Problem> {
        // a route that stands behind no rule has no caller: a defect, not an open door
        parts.extensions.get::<By>().cloned().ok_or_else(Problem::unauthorized)
    }
}
