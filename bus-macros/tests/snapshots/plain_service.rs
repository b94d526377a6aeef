/// Accounts and their balances.
pub trait AccountService: ::core::marker::Send + ::core::marker::Sync + 'static {
    /// Balance in minor units.
    fn balance(
        &self,
        account: AccountNumber,
    ) -> impl ::core::future::Future<
        Output = Result<Balance, AccountError>,
    > + ::core::marker::Send;
    /// Posts one entry.
    fn post(
        &self,
        entry: Entry,
        note: Option<String>,
    ) -> impl ::core::future::Future<
        Output = Result<Posted, AccountError>,
    > + ::core::marker::Send;
}
impl<__S: AccountService> AccountService for ::std::sync::Arc<__S> {
    fn balance(
        &self,
        account: AccountNumber,
    ) -> impl ::core::future::Future<
        Output = Result<Balance, AccountError>,
    > + ::core::marker::Send {
        <__S as AccountService>::balance(self, account)
    }
    fn post(
        &self,
        entry: Entry,
        note: Option<String>,
    ) -> impl ::core::future::Future<
        Output = Result<Posted, AccountError>,
    > + ::core::marker::Send {
        <__S as AccountService>::post(self, entry, note)
    }
}
/// Calls [`AccountService`] through the queue `account.requests`. Cheap to clone.
#[allow(dead_code)]
#[derive(::core::clone::Clone, ::core::fmt::Debug)]
pub struct AccountServiceClient {
    inner: ::replybus::__private::ServiceClient,
}
#[allow(dead_code)]
impl AccountServiceClient {
    /// The queue, the methods and their defaults.
    pub const CONTRACT: &'static ::replybus::__private::ServiceContract = &::replybus::__private::ServiceContract::new(
            "AccountService",
            "account.requests",
            &[
                ::replybus::__private::MethodContract::new(
                        "balance",
                        ::replybus::__private::MethodKind::Query,
                    )
                    .signature("(account:AccountNumber)->Result<Balance,AccountError>"),
                ::replybus::__private::MethodContract::new(
                        "post",
                        ::replybus::__private::MethodKind::Command,
                    )
                    .signature(
                        "(entry:Entry,note:Option<String>)->Result<Posted,AccountError>",
                    ),
            ],
        )
        .described(
            ::replybus::__private::described! {
                | of | { #[allow(unused_imports)] use ::replybus::__private:: { KnownType
                as _, UnknownType as _ }; of.method(::replybus::__private::MethodParts {
                docs : & [r" Balance in minor units."], key :
                ::core::option::Option::None, arguments : & [("account", (&
                ::replybus::__private::TypeOf:: < AccountNumber > ::NEW).part())], fed :
                ::core::option::Option::None, reply : (& ::replybus::__private::TypeOf::
                < < Result < Balance, AccountError > as ::replybus::__private::Outcome >
                ::Ok > ::NEW).part(), error : (& ::replybus::__private::TypeOf:: < <
                Result < Balance, AccountError > as ::replybus::__private::Outcome >
                ::Err > ::NEW).part(), }); of.method(::replybus::__private::MethodParts {
                docs : & [r" Posts one entry."], key : ::core::option::Option::None,
                arguments : & [("entry", (& ::replybus::__private::TypeOf:: < Entry >
                ::NEW).part()), ("note", (& ::replybus::__private::TypeOf:: < Option <
                String > > ::NEW).part())], fed : ::core::option::Option::None, reply :
                (& ::replybus::__private::TypeOf:: < < Result < Posted, AccountError > as
                ::replybus::__private::Outcome > ::Ok > ::NEW).part(), error : (&
                ::replybus::__private::TypeOf:: < < Result < Posted, AccountError > as
                ::replybus::__private::Outcome > ::Err > ::NEW).part(), }); }
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
    /// Balance in minor units.
    pub fn balance(
        &self,
        account: AccountNumber,
    ) -> ::replybus::__private::Call<Result<Balance, AccountError>> {
        #[derive(::replybus::__private::serde::Serialize)]
        #[serde(crate = "::replybus::__private::serde")]
        struct __Arguments<T0> {
            account: T0,
        }
        self.inner
            .call::<
                __Arguments<&AccountNumber>,
                Result<Balance, AccountError>,
            >(0usize, &__Arguments { account: &account })
    }
    /// Posts one entry.
    pub fn post(
        &self,
        entry: Entry,
        note: Option<String>,
    ) -> ::replybus::__private::Call<Result<Posted, AccountError>> {
        #[derive(::replybus::__private::serde::Serialize)]
        #[serde(crate = "::replybus::__private::serde")]
        struct __Arguments<T0, T1> {
            entry: T0,
            note: T1,
        }
        self.inner
            .call::<
                __Arguments<&Entry, &Option<String>>,
                Result<Posted, AccountError>,
            >(
                1usize,
                &__Arguments {
                    entry: &entry,
                    note: &note,
                },
            )
    }
}
/// Serves an implementation of [`AccountService`] from the queue `account.requests`. Cheap to clone.
#[allow(dead_code)]
pub struct AccountServiceServer<S> {
    service: ::std::sync::Arc<S>,
}
#[allow(dead_code)]
impl<S> AccountServiceServer<S> {
    /// The queue, the methods and their defaults.
    pub const CONTRACT: &'static ::replybus::__private::ServiceContract = AccountServiceClient::CONTRACT;
    /// A server whose calls `service` answers, many of them at the same time; an `Arc` of
    /// a service is one, too.
    #[must_use]
    pub fn new(service: S) -> Self {
        Self {
            service: ::std::sync::Arc::new(service),
        }
    }
}
impl<S> ::core::clone::Clone for AccountServiceServer<S> {
    fn clone(&self) -> Self {
        Self {
            service: ::core::clone::Clone::clone(&self.service),
        }
    }
}
impl<S> ::core::fmt::Debug for AccountServiceServer<S> {
    fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        ::core::fmt::Formatter::debug_struct(formatter, "AccountServiceServer")
            .finish_non_exhaustive()
    }
}
impl<__S: AccountService> ::replybus::__private::Service for AccountServiceServer<__S> {
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
                    expecting = "the arguments of `balance`"
                )]
                struct __Arguments<T0> {
                    account: T0,
                }
                ::replybus::__private::answer::<
                    __Arguments<AccountNumber>,
                    Result<Balance, AccountError>,
                    _,
                    _,
                >(
                    payload,
                    move |arguments| async move {
                        <__S as AccountService>::balance(&service, arguments.account)
                            .await
                    },
                )
            }
            1usize => {
                #[derive(::replybus::__private::serde::Deserialize)]
                #[serde(
                    crate = "::replybus::__private::serde",
                    expecting = "the arguments of `post`"
                )]
                struct __Arguments<T0, T1> {
                    entry: T0,
                    note: T1,
                }
                ::replybus::__private::answer::<
                    __Arguments<Entry, Option<String>>,
                    Result<Posted, AccountError>,
                    _,
                    _,
                >(
                    payload,
                    move |arguments| async move {
                        <__S as AccountService>::post(
                                &service,
                                arguments.entry,
                                arguments.note,
                            )
                            .await
                    },
                )
            }
            _ => ::replybus::__private::no_such_method(),
        }
    }
}
