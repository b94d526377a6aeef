pub(crate) trait Rates: Send + ::core::marker::Send + ::core::marker::Sync + 'static {
    #[deprecated]
    fn all(
        &self,
    ) -> impl ::core::future::Future<
        Output = Result<Vec<Rate>, RatesError>,
    > + ::core::marker::Send;
    fn each(
        &self,
        since: Option<u64>,
    ) -> impl ::core::future::Future<
        Output = Result<Items<Rate, RatesError>, RatesError>,
    > + ::core::marker::Send;
    fn rate(
        &self,
        of: String,
    ) -> impl ::core::future::Future<
        Output = Result<Rate, RatesError>,
    > + ::core::marker::Send;
    fn set(
        &self,
        r#type: RateType,
    ) -> impl ::core::future::Future<
        Output = Result<(), RatesError>,
    > + ::core::marker::Send;
    fn recount(
        &self,
    ) -> impl ::core::future::Future<
        Output = Result<u64, RatesError>,
    > + ::core::marker::Send;
    fn load(
        &self,
        rates: Items<Rate>,
        day: u32,
    ) -> impl ::core::future::Future<
        Output = Result<u64, RatesError>,
    > + ::core::marker::Send;
}
#[allow(deprecated)]
impl<__S: Rates> Rates for ::std::sync::Arc<__S> {
    fn all(
        &self,
    ) -> impl ::core::future::Future<
        Output = Result<Vec<Rate>, RatesError>,
    > + ::core::marker::Send {
        <__S as Rates>::all(self)
    }
    fn each(
        &self,
        since: Option<u64>,
    ) -> impl ::core::future::Future<
        Output = Result<Items<Rate, RatesError>, RatesError>,
    > + ::core::marker::Send {
        <__S as Rates>::each(self, since)
    }
    fn rate(
        &self,
        of: String,
    ) -> impl ::core::future::Future<
        Output = Result<Rate, RatesError>,
    > + ::core::marker::Send {
        <__S as Rates>::rate(self, of)
    }
    fn set(
        &self,
        r#type: RateType,
    ) -> impl ::core::future::Future<
        Output = Result<(), RatesError>,
    > + ::core::marker::Send {
        <__S as Rates>::set(self, r#type)
    }
    fn recount(
        &self,
    ) -> impl ::core::future::Future<
        Output = Result<u64, RatesError>,
    > + ::core::marker::Send {
        <__S as Rates>::recount(self)
    }
    fn load(
        &self,
        rates: Items<Rate>,
        day: u32,
    ) -> impl ::core::future::Future<
        Output = Result<u64, RatesError>,
    > + ::core::marker::Send {
        <__S as Rates>::load(self, rates, day)
    }
}
/// Calls [`Rates`] through the queue `rates`. Cheap to clone.
#[allow(dead_code)]
#[derive(::core::clone::Clone, ::core::fmt::Debug)]
pub(crate) struct RatesClient {
    inner: ::bus::__private::ServiceClient,
}
#[allow(dead_code)]
#[allow(deprecated)]
impl RatesClient {
    /// The queue, the methods and their defaults.
    pub(crate) const CONTRACT: &'static ::bus::__private::ServiceContract = &::bus::__private::ServiceContract::new(
            "Rates",
            "rates",
            &[
                ::bus::__private::MethodContract::new(
                        "all",
                        ::bus::__private::MethodKind::Query,
                    )
                    .timeout(::core::time::Duration::from_millis(500u64))
                    .signature("()->Result<Vec<Rate>,RatesError>"),
                ::bus::__private::MethodContract::new(
                        "each",
                        ::bus::__private::MethodKind::Query,
                    )
                    .timeout(::core::time::Duration::from_millis(1000u64))
                    .stream()
                    .signature(
                        "(since:Option<u64>)->Result<Items<Rate,RatesError>,RatesError>",
                    ),
                ::bus::__private::MethodContract::new(
                        "rate",
                        ::bus::__private::MethodKind::Query,
                    )
                    .cache(
                        ::bus::__private::CachePolicy::new(
                                ::core::time::Duration::from_millis(300000u64),
                            )
                            .tags(&["rate:{of}", "rates"])
                            .vary(&["tenant"]),
                    )
                    .signature("(of:String)->Result<Rate,RatesError>"),
                ::bus::__private::MethodContract::new(
                        "set",
                        ::bus::__private::MethodKind::Command,
                    )
                    .timeout(::core::time::Duration::from_millis(60000u64))
                    .own_record()
                    .retry(
                        ::bus::__private::RetryPolicy::new()
                            .max(7u32)
                            .base(::core::time::Duration::from_millis(1000u64))
                            .max_delay(::core::time::Duration::from_millis(7200000u64))
                            .jitter(),
                    )
                    .invalidates(&["rate:{type}", "rates"])
                    .signature("(r#type:RateType)->Result<(),RatesError>"),
                ::bus::__private::MethodContract::new(
                        "recount",
                        ::bus::__private::MethodKind::Command,
                    )
                    .job(::core::time::Duration::from_millis(14400000u64))
                    .signature("()->Result<u64,RatesError>"),
                ::bus::__private::MethodContract::new(
                        "load",
                        ::bus::__private::MethodKind::Command,
                    )
                    .feed()
                    .signature(
                        "(#[stream]rates:Items<Rate>,day:u32)->Result<u64,RatesError>",
                    ),
            ],
        )
        .defaults(
            ::bus::__private::ServeDefaults::new()
                .concurrency(32u16)
                .prefetch(64u16)
                .timeout(::core::time::Duration::from_millis(2000u64))
                .queue_type(::bus::__private::QueueType::Quorum)
                .queue_length_max(10000u32)
                .bundles(false),
        )
        .described(
            ::bus::__private::described! {
                | of | { #[allow(unused_imports)] use ::bus::__private:: { KnownType as
                _, UnknownType as _ }; of.method(::bus::__private::MethodParts { docs : &
                [], key : ::core::option::Option::None, arguments : & [], fed :
                ::core::option::Option::None, reply : (& ::bus::__private::TypeOf:: < <
                Result < Vec < Rate >, RatesError > as ::bus::__private::Outcome > ::Ok >
                ::NEW).part(), error : (& ::bus::__private::TypeOf:: < < Result < Vec <
                Rate >, RatesError > as ::bus::__private::Outcome > ::Err > ::NEW)
                .part(), }); of.method(::bus::__private::MethodParts { docs : & [], key :
                ::core::option::Option::None, arguments : & [("since", (&
                ::bus::__private::TypeOf:: < Option < u64 > > ::NEW).part())], fed :
                ::core::option::Option::None, reply : (& ::bus::__private::TypeOf:: < <
                Result < Items < Rate, RatesError >, RatesError > as
                ::bus::__private::StreamOutcome > ::Item > ::NEW).part(), error : (&
                ::bus::__private::TypeOf:: < < Result < Items < Rate, RatesError >,
                RatesError > as ::bus::__private::StreamOutcome > ::Err > ::NEW).part(),
                }); of.method(::bus::__private::MethodParts { docs : & [], key :
                ::core::option::Option::None, arguments : & [("of", (&
                ::bus::__private::TypeOf:: < String > ::NEW).part())], fed :
                ::core::option::Option::None, reply : (& ::bus::__private::TypeOf:: < <
                Result < Rate, RatesError > as ::bus::__private::Outcome > ::Ok > ::NEW)
                .part(), error : (& ::bus::__private::TypeOf:: < < Result < Rate,
                RatesError > as ::bus::__private::Outcome > ::Err > ::NEW).part(), }); of
                .method(::bus::__private::MethodParts { docs : & [], key :
                ::core::option::Option::None, arguments : & [("type", (&
                ::bus::__private::TypeOf:: < RateType > ::NEW).part())], fed :
                ::core::option::Option::None, reply : (& ::bus::__private::TypeOf:: < <
                Result < (), RatesError > as ::bus::__private::Outcome > ::Ok > ::NEW)
                .part(), error : (& ::bus::__private::TypeOf:: < < Result < (),
                RatesError > as ::bus::__private::Outcome > ::Err > ::NEW).part(), }); of
                .method(::bus::__private::MethodParts { docs : & [], key :
                ::core::option::Option::None, arguments : & [], fed :
                ::core::option::Option::None, reply : (& ::bus::__private::TypeOf:: < <
                Result < u64, RatesError > as ::bus::__private::Outcome > ::Ok > ::NEW)
                .part(), error : (& ::bus::__private::TypeOf:: < < Result < u64,
                RatesError > as ::bus::__private::Outcome > ::Err > ::NEW).part(), }); of
                .method(::bus::__private::MethodParts { docs : & [], key :
                ::core::option::Option::None, arguments : & [("day", (&
                ::bus::__private::TypeOf:: < u32 > ::NEW).part())], fed :
                ::core::option::Option::Some(("rates", (& ::bus::__private::TypeOf:: < <
                Items < Rate > as ::bus::__private::StreamArgument > ::Item > ::NEW)
                .part())), reply : (& ::bus::__private::TypeOf:: < < Result < u64,
                RatesError > as ::bus::__private::Outcome > ::Ok > ::NEW).part(), error :
                (& ::bus::__private::TypeOf:: < < Result < u64, RatesError > as
                ::bus::__private::Outcome > ::Err > ::NEW).part(), }); }
            },
        );
    /// A client whose calls travel over `bus`.
    #[must_use]
    pub(crate) fn new(bus: &::bus::__private::Bus) -> Self {
        Self {
            inner: ::bus::__private::ServiceClient::new(bus, Self::CONTRACT),
        }
    }
    /// The same client, on another queue than the contract's.
    #[must_use]
    pub(crate) fn on_queue(
        self,
        queue: impl ::core::convert::Into<::std::string::String>,
    ) -> Self {
        Self {
            inner: self.inner.on_queue(queue),
        }
    }
    /// The same client, with its arguments encoded as `content_type`.
    #[must_use]
    pub(crate) fn with_content_type(
        self,
        content_type: ::bus::__private::ContentType,
    ) -> Self {
        Self {
            inner: self.inner.with_content_type(content_type),
        }
    }
    /// The same client, with `layer` around its calls.
    #[must_use]
    pub(crate) fn layer<L>(self, layer: L) -> Self
    where
        L: ::bus::__private::ClientLayer,
    {
        Self {
            inner: self.inner.layer(layer),
        }
    }
    /// Calls [`Rates::all`].
    #[deprecated]
    pub(crate) fn all(&self) -> ::bus::__private::Call<Result<Vec<Rate>, RatesError>> {
        #[derive(::bus::__private::serde::Serialize)]
        #[serde(crate = "::bus::__private::serde")]
        struct __Arguments {}
        self.inner
            .call::<__Arguments, Result<Vec<Rate>, RatesError>>(0usize, &__Arguments {})
    }
    /// Calls [`Rates::each`].
    pub(crate) fn each(
        &self,
        since: Option<u64>,
    ) -> ::bus::__private::StreamCall<Result<Items<Rate, RatesError>, RatesError>> {
        #[derive(::bus::__private::serde::Serialize)]
        #[serde(crate = "::bus::__private::serde")]
        struct __Arguments<T0> {
            since: T0,
        }
        self.inner
            .stream::<
                __Arguments<&Option<u64>>,
                Result<Items<Rate, RatesError>, RatesError>,
            >(1usize, &__Arguments { since: &since })
    }
    /// Calls [`Rates::rate`].
    pub(crate) fn rate(
        &self,
        of: String,
    ) -> ::bus::__private::Call<Result<Rate, RatesError>> {
        #[derive(::bus::__private::serde::Serialize)]
        #[serde(crate = "::bus::__private::serde")]
        struct __Arguments<T0> {
            of: T0,
        }
        self.inner
            .call::<
                __Arguments<&String>,
                Result<Rate, RatesError>,
            >(2usize, &__Arguments { of: &of })
    }
    /// Calls [`Rates::set`].
    pub(crate) fn set(
        &self,
        r#type: RateType,
    ) -> ::bus::__private::Call<Result<(), RatesError>> {
        #[derive(::bus::__private::serde::Serialize)]
        #[serde(crate = "::bus::__private::serde")]
        struct __Arguments<T0> {
            r#type: T0,
        }
        self.inner
            .call::<
                __Arguments<&RateType>,
                Result<(), RatesError>,
            >(3usize, &__Arguments { r#type: &r#type })
    }
    /// Calls [`Rates::recount`].
    pub(crate) fn recount(&self) -> ::bus::__private::Call<Result<u64, RatesError>> {
        #[derive(::bus::__private::serde::Serialize)]
        #[serde(crate = "::bus::__private::serde")]
        struct __Arguments {}
        self.inner.call::<__Arguments, Result<u64, RatesError>>(4usize, &__Arguments {})
    }
    /// Calls [`Rates::load`].
    pub(crate) fn load(
        &self,
        rates: impl ::bus::__private::Stream<
            Item = <Items<Rate> as ::bus::__private::StreamArgument>::Item,
        > + ::core::marker::Send + 'static,
        day: u32,
    ) -> ::bus::__private::FeedCall<Result<u64, RatesError>> {
        #[derive(::bus::__private::serde::Serialize)]
        #[serde(crate = "::bus::__private::serde")]
        struct __Arguments<T0> {
            day: T0,
        }
        self.inner
            .feed::<
                __Arguments<&u32>,
                _,
                Result<u64, RatesError>,
            >(5usize, &__Arguments { day: &day }, rates)
    }
}
/// Serves an implementation of [`Rates`] from the queue `rates`. Cheap to clone.
#[allow(dead_code)]
pub(crate) struct RatesServer<S> {
    service: ::std::sync::Arc<S>,
}
#[allow(dead_code)]
#[allow(deprecated)]
impl<S> RatesServer<S> {
    /// The queue, the methods and their defaults.
    pub(crate) const CONTRACT: &'static ::bus::__private::ServiceContract = RatesClient::CONTRACT;
    /// A server whose calls `service` answers, many of them at the same time; an `Arc` of
    /// a service is one, too.
    #[must_use]
    pub(crate) fn new(service: S) -> Self {
        Self {
            service: ::std::sync::Arc::new(service),
        }
    }
}
impl<S> ::core::clone::Clone for RatesServer<S> {
    fn clone(&self) -> Self {
        Self {
            service: ::core::clone::Clone::clone(&self.service),
        }
    }
}
impl<S> ::core::fmt::Debug for RatesServer<S> {
    fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        ::core::fmt::Formatter::debug_struct(formatter, "RatesServer")
            .finish_non_exhaustive()
    }
}
#[allow(deprecated)]
impl<__S: Rates> ::bus::__private::Service for RatesServer<__S> {
    fn contract(&self) -> &'static ::bus::__private::ServiceContract {
        Self::CONTRACT
    }
    fn dispatch(
        &self,
        method: usize,
        payload: ::bus::__private::Payload,
    ) -> ::bus::__private::AnswerFuture {
        let service = ::core::clone::Clone::clone(&self.service);
        match method {
            0usize => {
                #[derive(::bus::__private::serde::Deserialize)]
                #[serde(
                    crate = "::bus::__private::serde",
                    expecting = "the arguments of `all`"
                )]
                struct __Arguments {}
                ::bus::__private::answer::<
                    __Arguments,
                    Result<Vec<Rate>, RatesError>,
                    _,
                    _,
                >(payload, move |_| async move { <__S as Rates>::all(&service).await })
            }
            1usize => {
                #[derive(::bus::__private::serde::Deserialize)]
                #[serde(
                    crate = "::bus::__private::serde",
                    expecting = "the arguments of `each`"
                )]
                struct __Arguments<T0> {
                    since: T0,
                }
                ::bus::__private::answer_stream::<
                    __Arguments<Option<u64>>,
                    Result<Items<Rate, RatesError>, RatesError>,
                    _,
                    _,
                >(
                    payload,
                    move |arguments| async move {
                        <__S as Rates>::each(&service, arguments.since).await
                    },
                )
            }
            2usize => {
                #[derive(::bus::__private::serde::Deserialize)]
                #[serde(
                    crate = "::bus::__private::serde",
                    expecting = "the arguments of `rate`"
                )]
                struct __Arguments<T0> {
                    of: T0,
                }
                ::bus::__private::answer::<
                    __Arguments<String>,
                    Result<Rate, RatesError>,
                    _,
                    _,
                >(
                    payload,
                    move |arguments| async move {
                        <__S as Rates>::rate(&service, arguments.of).await
                    },
                )
            }
            3usize => {
                #[derive(::bus::__private::serde::Deserialize)]
                #[serde(
                    crate = "::bus::__private::serde",
                    expecting = "the arguments of `set`"
                )]
                struct __Arguments<T0> {
                    r#type: T0,
                }
                ::bus::__private::answer::<
                    __Arguments<RateType>,
                    Result<(), RatesError>,
                    _,
                    _,
                >(
                    payload,
                    move |arguments| async move {
                        <__S as Rates>::set(&service, arguments.r#type).await
                    },
                )
            }
            4usize => {
                #[derive(::bus::__private::serde::Deserialize)]
                #[serde(
                    crate = "::bus::__private::serde",
                    expecting = "the arguments of `recount`"
                )]
                struct __Arguments {}
                ::bus::__private::answer::<
                    __Arguments,
                    Result<u64, RatesError>,
                    _,
                    _,
                >(
                    payload,
                    move |_| async move { <__S as Rates>::recount(&service).await },
                )
            }
            5usize => {
                #[derive(::bus::__private::serde::Deserialize)]
                #[serde(
                    crate = "::bus::__private::serde",
                    expecting = "the arguments of `load`"
                )]
                struct __Arguments<T0> {
                    day: T0,
                }
                ::bus::__private::answer_fed::<
                    __Arguments<u32>,
                    Items<Rate>,
                    Result<u64, RatesError>,
                    _,
                    _,
                >(
                    payload,
                    move |arguments, items| async move {
                        <__S as Rates>::load(&service, items, arguments.day).await
                    },
                )
            }
            _ => ::bus::__private::no_such_method(),
        }
    }
}
