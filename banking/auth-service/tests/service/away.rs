//! The database is away.

use crate::world::{World, behind_a_proxy, refused};
use contracts::Refused;
use replybus_testkit::proxy::{Mode, Proxy};

#[tokio::test]
async fn while_the_database_is_away_that_is_the_answer() {
    behind_a_proxy(async |world: &World, proxy: &Proxy| {
        world.register("ada", "12345678").await.unwrap();
        proxy.set(Mode::Refuse);
        // In the time that the contract gives.
        let (login, registration) = tokio::join!(
            world.login("ada", "12345678"),
            world.register("bob", "12345678"),
        );
        assert_eq!(refused(login), Refused::Unavailable.into());
        assert_eq!(refused(registration), Refused::Unavailable.into());
        proxy.set(Mode::Pass);
        world.login("ada", "12345678").await.unwrap();
    })
    .await;
}
