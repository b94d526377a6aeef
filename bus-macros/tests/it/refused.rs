//! What is refused, and what is said of it. Only refusals: the compiler is run once for all of them
//! as long as none is to be built.

#[test]
fn each_mistake_is_named_where_it_is() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/refused/*.rs");
}
