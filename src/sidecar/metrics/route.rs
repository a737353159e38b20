//! The calls of the main listener, as metrics name them.

macro_rules! routes {
    ($($route:ident = $word:literal,)*) => {
        /// A call of the main listener.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Route {
            $($route,)*
        }

        impl Route {
            /// Every route, by its number.
            pub const ALL: &'static [Self] = &[$(Self::$route,)*];

            /// The word of the metric label.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$route => $word,)*
                }
            }
        }
    };
}

routes! {
    Validate = "validate",
    AccessCheck = "access_check",
    Consumption = "consumption_validate",
    Evaluation = "authzen_evaluation",
    Evaluations = "authzen_evaluations",
    SearchSubject = "authzen_search_subject",
    SearchAction = "authzen_search_action",
    SearchResource = "authzen_search_resource",
    Metadata = "authzen_metadata",
    Variant = "variant",
    Content = "content",
    EngineConsumption = "engine_consumption",
    EngineAccess = "engine_access",
    EngineResidency = "engine_residency",
    EngineReport = "engine_violation_report",
    EnginePolicies = "engine_policies",
    EngineHealth = "engine_health",
    Flag = "ofrep_flag",
    Flags = "ofrep_flags",
    ExtAuthz = "ext_authz",
    Forward = "forward",
    None = "none",
}
