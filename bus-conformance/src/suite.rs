//! The tests that a suite becomes: one of each case, which is ignored if it is of what is not claimed.

/// One `#[test]` for each promise of a transport, that `$run` checks: a function beside it, which is
/// given a [`TransportCase`](crate::TransportCase). They are in modules of its name and of the group
/// of the case.
///
/// What is claimed is `all`, or a list of [groups](crate#what-is-claimed). Tests of others are
/// ignored, as not claimed.
///
/// ```
/// use replybus::transport::memory::MemoryBroker;
/// use replybus_conformance::{TransportCase, transport_suite};
///
/// transport_suite!(memory, claims: [events, limits]);
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn memory(case: TransportCase) {
///     case.check(MemoryBroker::new()).await;
/// }
/// ```
///
/// A claim that there is not does not compile:
///
/// ```compile_fail
/// replybus_conformance::transport_suite!(memory, claims: [teleports]);
/// # fn memory(_: replybus_conformance::TransportCase) {}
/// ```
#[macro_export]
macro_rules! transport_suite {
    ($run:ident, claims: $claims:tt $(,)?) => {
        $crate::__known_claims! { transport $claims }
        $crate::__transport_promises! { __tests [$run $claims TransportCase] }
    };
}

/// One `#[test]` for each promise of a reply store, that `$run` checks: a function beside it, which is
/// given a [`StoreCase`](crate::StoreCase). They are in modules of its name and of the group of the
/// case.
///
/// What is claimed is `all`, or a list of [groups](crate#what-is-claimed). Tests of others are
/// ignored, as not claimed.
///
/// ```
/// use replybus::reply::memory::MemoryReplies;
/// use replybus_conformance::{StoreCase, store_suite};
///
/// store_suite!(memory, claims: all);
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn memory(case: StoreCase) {
///     case.check(MemoryReplies::new()).await;
/// }
/// ```
#[macro_export]
macro_rules! store_suite {
    ($run:ident, claims: $claims:tt $(,)?) => {
        $crate::__known_claims! { store $claims }
        $crate::__store_promises! { __tests [$run $claims StoreCase] }
    };
}

/// The tests of all promises, in modules of their groups.
#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    (
        [$run:ident $claims:tt $case:ident]
        $($kind:ident $group:ident { $($promise:ident,)+ })+
    ) => {
        mod $run {
            $(mod $group {
                $($crate::__test! { $kind $group $claims [$run $case $group $promise] })+
            })+
        }
    };
}

/// One test: as it is if it is of what all must do or what is claimed, else ignored.
#[doc(hidden)]
#[macro_export]
macro_rules! __test {
    (required $group:ident $claims:tt $test:tt) => {
        $crate::__test! { @claimed $test }
    };
    (optional $group:ident all $test:tt) => {
        $crate::__test! { @claimed $test }
    };
    // Of names only those that are spelled out here can be told apart.
    (optional limits [limits $($more:tt)*] $test:tt) => { $crate::__test! { @claimed $test } };
    (optional turns [turns $($more:tt)*] $test:tt) => { $crate::__test! { @claimed $test } };
    (optional events [events $($more:tt)*] $test:tt) => { $crate::__test! { @claimed $test } };
    (optional removal [removal $($more:tt)*] $test:tt) => { $crate::__test! { @claimed $test } };
    (optional delays [delays $($more:tt)*] $test:tt) => { $crate::__test! { @claimed $test } };
    (optional delayed_events [delayed_events $($more:tt)*] $test:tt) => {
        $crate::__test! { @claimed $test }
    };
    (optional single_active [single_active $($more:tt)*] $test:tt) => {
        $crate::__test! { @claimed $test }
    };
    (optional browsing [browsing $($more:tt)*] $test:tt) => { $crate::__test! { @claimed $test } };
    (optional direct [direct $($more:tt)*] $test:tt) => { $crate::__test! { @claimed $test } };
    (optional streams [streams $($more:tt)*] $test:tt) => { $crate::__test! { @claimed $test } };
    (optional instances [instances $($more:tt)*] $test:tt) => { $crate::__test! { @claimed $test } };
    (optional given_up [given_up $($more:tt)*] $test:tt) => { $crate::__test! { @claimed $test } };
    (optional delayed_notes [delayed_notes $($more:tt)*] $test:tt) => {
        $crate::__test! { @claimed $test }
    };
    (optional flight [flight $($more:tt)*] $test:tt) => { $crate::__test! { @claimed $test } };
    (optional cache [cache $($more:tt)*] $test:tt) => { $crate::__test! { @claimed $test } };
    (optional $group:ident [$other:ident $(, $($claims:tt)*)?] $test:tt) => {
        $crate::__test! { optional $group [$($($claims)*)?] $test }
    };
    (optional $group:ident [] [$run:ident $case:ident $named:ident $promise:ident]) => {
        #[test]
        #[ignore = "not claimed"]
        fn $promise() {
            super::super::$run($crate::$case::named(stringify!($named), stringify!($promise)));
        }
    };
    (@claimed [$run:ident $case:ident $group:ident $promise:ident]) => {
        #[test]
        fn $promise() {
            super::super::$run($crate::$case::named(stringify!($group), stringify!($promise)));
        }
    };
}

/// Refuses to compile what nobody can claim.
#[doc(hidden)]
#[macro_export]
macro_rules! __known_claims {
    ($of:ident all) => {};
    ($of:ident [$($claim:ident),* $(,)?]) => {
        $($crate::__known_claims! { @$of $claim })*
    };
    (@transport limits) => {};
    (@transport turns) => {};
    (@transport events) => {};
    (@transport removal) => {};
    (@transport delays) => {};
    (@transport delayed_events) => {};
    (@transport single_active) => {};
    (@transport browsing) => {};
    (@transport direct) => {};
    (@transport $other:ident) => {
        compile_error!(concat!(
            "a transport can't claim \"", stringify!($other), "\"; it can: all, or some of limits, ",
            "turns, events, removal, delays, delayed_events, single_active, browsing, direct",
        ));
    };
    (@store streams) => {};
    (@store instances) => {};
    (@store given_up) => {};
    (@store delayed_notes) => {};
    (@store flight) => {};
    (@store cache) => {};
    (@store $other:ident) => {
        compile_error!(concat!(
            "a reply store can't claim \"", stringify!($other), "\"; it can: all, or some of ",
            "streams, instances, given_up, delayed_notes, flight, cache",
        ));
    };
}

/// The cases as values, for this crate.
#[doc(hidden)]
#[macro_export]
macro_rules! __cases {
    (@is_optional required) => { false };
    (@is_optional optional) => { true };
    ([$case:ident] $($kind:ident $group:ident { $($promise:ident,)+ })+) => {
        &[$($($case {
            group: stringify!($group),
            name: stringify!($promise),
            optional: $crate::__cases!(@is_optional $kind),
            promise: |bench| Box::pin($group::$promise(bench)),
        },)+)+]
    };
}
