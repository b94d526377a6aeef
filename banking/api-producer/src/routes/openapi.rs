//! The description of the API: what all routes have in common. The rest is written at each route.

use crate::problem::Detail;
use axum::http::StatusCode;
use std::collections::BTreeMap;
use utoipa::{
    IntoResponses, PartialSchema as _, ToSchema as _,
    openapi::{
        Components, Content, HttpMethod, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, Ref,
        RefOr, Required, Response, ResponseBuilder,
        path::{OperationBuilder, ParameterBuilder, ParameterIn},
        schema::{ObjectBuilder, Type},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

/// A description without routes.
pub(super) fn begin() -> OpenApi {
    let info = InfoBuilder::new()
        .title("The bank")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Every request is a call over a queue. Amounts are integers, in minor units. Every \
             answer carries `X-Correlation-Id`; every one that is not a success is \
             `{\"detail\": \"..\"}`.",
        ));
    let header = |name: &str, about: &str| {
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, about)))
    };
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .build();
    let mut components = Components::new();
    components.add_security_scheme("session", header("X-Session", "The session of a login."));
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components.add_security_scheme(
        "admin",
        header("X-Admin-Secret", "The secret the gateway was started with."),
    );
    let schema = (Detail::name().into_owned(), Detail::schema());
    components.schemas.extend([schema]);
    OpenApiBuilder::new()
        .info(info.build())
        .components(Some(components))
        .build()
}

/// Adds `/ws`, which is the notification service's.
pub(super) fn finish(mut api: OpenApi) -> OpenApi {
    let session = ParameterBuilder::new()
        .name("session")
        .parameter_in(ParameterIn::Query)
        .required(Required::True)
        .description(Some("The session of a login."))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
    let upgraded = Response::new("Live notifications; closes with 1008 if the session is bad");
    let live = OperationBuilder::new()
        .tag("notifications")
        .summary(Some("Notifications as they come, over a WebSocket."))
        .parameter(session)
        .response("101", upgraded);
    let path = PathItem::new(HttpMethod::Get, live);
    api.paths.paths.insert("/ws".to_owned(), path);
    api
}

fn refusal(status: StatusCode, about: &str) -> (String, RefOr<Response>) {
    let content = Content::new(Some(Ref::from_schema_name(Detail::name())));
    let response = ResponseBuilder::new()
        .description(about)
        .content("application/json", content);
    (status.as_str().to_owned(), response.build().into())
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident: [$(($status:ident, $about:literal)),+];)+) => {
        $(
            $(#[$doc])*
            pub(crate) struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    [$(refusal(StatusCode::$status, $about)),+].into()
                }
            }
        )+
    };
}

refusals! {
    /// What was sent can't be used.
    Bad: [
        (BAD_REQUEST, "A field is missing or not as it must be, or there is too little money"),
        (REQUEST_TIMEOUT, "The body took too long to arrive"),
        (PAYLOAD_TOO_LARGE, "The body is too large")
    ];
    /// No session, or no such user.
    Unauthenticated: [(UNAUTHORIZED, "The session or the credentials are not valid")];
    /// Slower, please.
    Guessing: [(
        TOO_MANY_REQUESTS,
        "Too many wrong passwords or secrets, or requests of one address; Retry-After says when the \
         next is looked at"
    )];
    /// Less often, please.
    Frequent: [(
        TOO_MANY_REQUESTS,
        "Too many requests of one address, or too much under way for the user; Retry-After says \
         when the next is looked at"
    )];
    /// Not for this client.
    Forbidden: [(FORBIDDEN, "The secret is missing or wrong, or none was set")];
    /// No such thing.
    Missing: [(NOT_FOUND, "There is no such account, user or job, or nothing of the user's with this id")];
    /// It is somebody's already.
    Conflict: [(CONFLICT, "The name, phone or Idempotency-Key is in use")];
    /// It is not there yet.
    Unfinished: [(CONFLICT, "It is not made, or was given up")];
    /// No answer of the service's.
    Unavailable: [
        (BAD_GATEWAY, "The service failed"),
        (SERVICE_UNAVAILABLE, "The service can't be reached or is too busy; see Retry-After"),
        (GATEWAY_TIMEOUT, "No answer in time; it may have been done all the same")
    ];
}
