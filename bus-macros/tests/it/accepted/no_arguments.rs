//! Methods without arguments, and a contract inside a function.
#[test]
fn both_ends_are_made() {
    #[replybus::queue_handler("health")]
    trait Health {
        #[query]
        async fn check(&self) -> Result<(), String>;
    }

    struct Well;

    impl Health for Well {
        async fn check(&self) -> Result<(), String> {
            Ok(())
        }
    }

    let _ = HealthServer::new(Well);
    let _ = |bus| HealthClient::new(bus).check();
}
