pub trait Accounts: ::core::marker::Send + ::core::marker::Sync + 'static {
    fn deposit(
        &self,
        account: AccountNumber,
        amount: u64,
    ) -> impl ::core::future::Future<
        Output = Result<u64, AccountError>,
    > + ::core::marker::Send;
    fn entries(
        &self,
        since: u64,
        account: AccountNumber,
    ) -> impl ::core::future::Future<
        Output = Result<Items<Entry, AccountError>, AccountError>,
    > + ::core::marker::Send;
}
impl<__S: Accounts> Accounts for ::std::sync::Arc<__S> {
    fn deposit(
        &self,
        account: AccountNumber,
        amount: u64,
    ) -> impl ::core::future::Future<
        Output = Result<u64, AccountError>,
    > + ::core::marker::Send {
        <__S as Accounts>::deposit(self, account, amount)
    }
    fn entries(
        &self,
        since: u64,
        account: AccountNumber,
    ) -> impl ::core::future::Future<
        Output = Result<Items<Entry, AccountError>, AccountError>,
    > + ::core::marker::Send {
        <__S as Accounts>::entries(self, since, account)
    }
}
/// Calls [`Accounts`] through the queue `account.requests`. Cheap to clone.
#[allow(dead_code)]
#[derive(::core::clone::Clone, ::core::fmt::Debug)]
pub struct AccountsClient {
    inner: ::replybus::__private::ServiceClient,
}
#[allow(dead_code)]
impl AccountsClient {
    /// The queue, the methods and their defaults.
    pub const CONTRACT: &'static ::replybus::__private::ServiceContract = &::replybus::__private::ServiceContract::new(
            "Accounts",
            "account.requests",
            &[
                ::replybus::__private::MethodContract::new(
                        "deposit",
                        ::replybus::__private::MethodKind::Command,
                    )
                    .signature(
                        "(#[key]account:AccountNumber,amount:u64)->Result<u64,AccountError>",
                    ),
                ::replybus::__private::MethodContract::new(
                        "entries",
                        ::replybus::__private::MethodKind::Query,
                    )
                    .stream()
                    .signature(
                        "(since:u64,#[key]account:AccountNumber)->Result<Items<Entry,AccountError>,AccountError>",
                    ),
            ],
        )
        .partitions(16u16)
        .described(
            ::replybus::__private::described! {
                | of | { #[allow(unused_imports)] use ::replybus::__private:: { KnownType
                as _, UnknownType as _ }; of.method(::replybus::__private::MethodParts {
                docs : & [], key : ::core::option::Option::Some("account"), arguments : &
                [("account", (& ::replybus::__private::TypeOf:: < AccountNumber > ::NEW)
                .part()), ("amount", (& ::replybus::__private::TypeOf:: < u64 > ::NEW)
                .part())], fed : ::core::option::Option::None, reply : (&
                ::replybus::__private::TypeOf:: < < Result < u64, AccountError > as
                ::replybus::__private::Outcome > ::Ok > ::NEW).part(), error : (&
                ::replybus::__private::TypeOf:: < < Result < u64, AccountError > as
                ::replybus::__private::Outcome > ::Err > ::NEW).part(), }); of
                .method(::replybus::__private::MethodParts { docs : & [], key :
                ::core::option::Option::Some("account"), arguments : & [("since", (&
                ::replybus::__private::TypeOf:: < u64 > ::NEW).part()), ("account", (&
                ::replybus::__private::TypeOf:: < AccountNumber > ::NEW).part())], fed :
                ::core::option::Option::None, reply : (& ::replybus::__private::TypeOf::
                < < Result < Items < Entry, AccountError >, AccountError > as
                ::replybus::__private::StreamOutcome > ::Item > ::NEW).part(), error : (&
                ::replybus::__private::TypeOf:: < < Result < Items < Entry, AccountError
                >, AccountError > as ::replybus::__private::StreamOutcome > ::Err >
                ::NEW).part(), }); }
            },
        );
    /// A client whose calls travel over `bus`.
    #[must_use]
    pub fn new(bus: &::replybus::__private::Bus) -> Self {
        Self {
            inner: ::replybus::__private::ServiceClient::new(bus, Self::CONTRACT),
        }
    }
    /// The same client, on another queue than the contract's.
    #[must_use]
    pub fn on_queue(
        self,
        queue: impl ::core::convert::Into<::std::string::String>,
    ) -> Self {
        Self {
            inner: self.inner.on_queue(queue),
        }
    }
    /// The same client, with its arguments encoded as `content_type`.
    #[must_use]
    pub fn with_content_type(
        self,
        content_type: ::replybus::__private::ContentType,
    ) -> Self {
        Self {
            inner: self.inner.with_content_type(content_type),
        }
    }
    /// The same client, with `layer` around its calls.
    #[must_use]
    pub fn layer<L>(self, layer: L) -> Self
    where
        L: ::replybus::__private::ClientLayer,
    {
        Self {
            inner: self.inner.layer(layer),
        }
    }
    /// Calls [`Accounts::deposit`].
    pub fn deposit(
        &self,
        account: AccountNumber,
        amount: u64,
    ) -> ::replybus::__private::Call<Result<u64, AccountError>> {
        #[derive(::replybus::__private::serde::Serialize)]
        #[serde(crate = "::replybus::__private::serde")]
        struct __Arguments<T0, T1> {
            account: T0,
            amount: T1,
        }
        self.inner
            .call_by_key::<
                __Arguments<&AccountNumber, &u64>,
                Result<u64, AccountError>,
                AccountNumber,
            >(
                0usize,
                &__Arguments {
                    account: &account,
                    amount: &amount,
                },
                &account,
            )
    }
    /// Calls [`Accounts::entries`].
    pub fn entries(
        &self,
        since: u64,
        account: AccountNumber,
    ) -> ::replybus::__private::StreamCall<
        Result<Items<Entry, AccountError>, AccountError>,
    > {
        #[derive(::replybus::__private::serde::Serialize)]
        #[serde(crate = "::replybus::__private::serde")]
        struct __Arguments<T0, T1> {
            since: T0,
            account: T1,
        }
        self.inner
            .stream_by_key::<
                __Arguments<&u64, &AccountNumber>,
                Result<Items<Entry, AccountError>, AccountError>,
                AccountNumber,
            >(
                1usize,
                &__Arguments {
                    since: &since,
                    account: &account,
                },
                &account,
            )
    }
}
/// Serves an implementation of [`Accounts`] from the queue `account.requests`. Cheap to clone.
#[allow(dead_code)]
pub struct AccountsServer<S> {
    service: ::std::sync::Arc<S>,
}
#[allow(dead_code)]
impl<S> AccountsServer<S> {
    /// The queue, the methods and their defaults.
    pub const CONTRACT: &'static ::replybus::__private::ServiceContract = AccountsClient::CONTRACT;
    /// A server whose calls `service` answers, many of them at the same time; an `Arc` of
    /// a service is one, too.
    #[must_use]
    pub fn new(service: S) -> Self {
        Self {
            service: ::std::sync::Arc::new(service),
        }
    }
}
impl<S> ::core::clone::Clone for AccountsServer<S> {
    fn clone(&self) -> Self {
        Self {
            service: ::core::clone::Clone::clone(&self.service),
        }
    }
}
impl<S> ::core::fmt::Debug for AccountsServer<S> {
    fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        ::core::fmt::Formatter::debug_struct(formatter, "AccountsServer")
            .finish_non_exhaustive()
    }
}
impl<__S: Accounts> ::replybus::__private::Service for AccountsServer<__S> {
    fn contract(&self) -> &'static ::replybus::__private::ServiceContract {
        Self::CONTRACT
    }
    fn dispatch(
        &self,
        method: usize,
        payload: ::replybus::__private::Payload,
    ) -> ::replybus::__private::AnswerFuture {
        let service = ::core::clone::Clone::clone(&self.service);
        match method {
            0usize => {
                #[derive(::replybus::__private::serde::Deserialize)]
                #[serde(
                    crate = "::replybus::__private::serde",
                    expecting = "the arguments of `deposit`"
                )]
                struct __Arguments<T0, T1> {
                    account: T0,
                    amount: T1,
                }
                ::replybus::__private::answer::<
                    __Arguments<AccountNumber, u64>,
                    Result<u64, AccountError>,
                    _,
                    _,
                >(
                    payload,
                    move |arguments| async move {
                        <__S as Accounts>::deposit(
                                &service,
                                arguments.account,
                                arguments.amount,
                            )
                            .await
                    },
                )
            }
            1usize => {
                #[derive(::replybus::__private::serde::Deserialize)]
                #[serde(
                    crate = "::replybus::__private::serde",
                    expecting = "the arguments of `entries`"
                )]
                struct __Arguments<T0, T1> {
                    since: T0,
                    account: T1,
                }
                ::replybus::__private::answer_stream::<
                    __Arguments<u64, AccountNumber>,
                    Result<Items<Entry, AccountError>, AccountError>,
                    _,
                    _,
                >(
                    payload,
                    move |arguments| async move {
                        <__S as Accounts>::entries(
                                &service,
                                arguments.since,
                                arguments.account,
                            )
                            .await
                    },
                )
            }
            _ => ::replybus::__private::no_such_method(),
        }
    }
}
