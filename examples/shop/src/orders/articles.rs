//! A read model: articles with the names of their authors and products, put together from what is
//! told of them. To show them nobody is asked, and so they are there while the product service is not.
//!
//! Events come again, and in any order. What they say is kept so that it makes no difference: an
//! article once, under its number, and of the names of a product the one of the highest version.

use crate::contracts::{
    ArticleCreated, DASHBOARD_ARTICLES, DASHBOARD_PRODUCTS, NamedProduct, ProductUpdated,
};
use chassis::{Database, Running, database::Transaction};
use replybus::{Bus, SetupError, contract::RetryPolicy};
use serde::Serialize;
use sqlx::{Row as _, any::AnyRow};
use std::time::Duration;

/// While the database is away events wait on the broker, for half a day; then they are dead letters.
const AGAIN: RetryPolicy = RetryPolicy::new()
    .max(20)
    .base(Duration::from_secs(5))
    .max_delay(Duration::from_secs(3600));

/// The read model. Each method is one statement, or one transaction, and safe to repeat.
#[derive(Clone)]
pub(super) struct ArticleView {
    database: Database,
}

/// What the dashboard shows.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Articles {
    count: i64,
    latest: Vec<Article>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Article {
    id: i64,
    author_name: String,
    title: String,
    products: Vec<Subject>,
}

/// A product that an article is about.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Subject {
    id: i64,
    name: String,
}

impl ArticleView {
    pub(super) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Keeps up with what is told, as a part of that life.
    pub(super) async fn follow(&self, bus: &Bus, life: Running) -> Result<Running, SetupError> {
        let view = self.clone();
        let created = bus.subscribe(DASHBOARD_ARTICLES, move |event: ArticleCreated| {
            view.clone().created(event)
        });
        let view = self.clone();
        let updated = bus.subscribe(DASHBOARD_PRODUCTS, move |event: ProductUpdated| {
            view.clone().updated(event)
        });
        let life = life.serving(created.retry(AGAIN).await?);
        Ok(life.serving(updated.retry(AGAIN).await?))
    }

    async fn created(self, article: ArticleCreated) -> sqlx::Result<()> {
        const INSERT: &str = "INSERT INTO articles (id, author_name, title) VALUES ($1, $2, $3)
            ON CONFLICT (id) DO NOTHING";
        const ABOUT: &str = "INSERT INTO article_products (article_id, product_id) VALUES ($1, $2)
            ON CONFLICT (article_id, product_id) DO NOTHING";
        let id = article.article_id;
        let keeping = self.database.transaction(async |mut writing| {
            let insert = sqlx::query(INSERT).bind(id);
            let insert = insert.bind(&article.author_name).bind(&article.title);
            insert.execute(&mut *writing).await?;
            for product in &article.products {
                let about = sqlx::query(ABOUT).bind(id).bind(product.id);
                about.execute(&mut *writing).await?;
                keep_name(&mut writing, product).await?;
            }
            writing.commit().await
        });
        keeping.await
    }

    async fn updated(self, told: ProductUpdated) -> sqlx::Result<()> {
        let keeping = self.database.transaction(async |mut writing| {
            keep_name(&mut writing, &told.product).await?;
            writing.commit().await
        });
        keeping.await
    }

    /// The newest first.
    pub(super) async fn latest(&self, limit: i64) -> sqlx::Result<Articles> {
        const COUNT: &str = "SELECT COUNT(*) FROM articles";
        const LATEST: &str = "SELECT latest.id, author_name, title, product_id, name
            FROM (SELECT * FROM articles ORDER BY id DESC LIMIT $1) AS latest
            JOIN article_products ON article_id = latest.id JOIN product_names USING (product_id)
            ORDER BY latest.id DESC, product_id";
        let count = sqlx::query_as(COUNT).fetch_one(self.database.pool());
        let (count,): (i64,) = count.await?;
        let latest = sqlx::query(LATEST).bind(limit);
        let latest = latest.fetch_all(self.database.pool()).await?;
        Ok(Articles {
            count,
            latest: read(&latest)?,
        })
    }
}

async fn keep_name(writing: &mut Transaction, product: &NamedProduct) -> sqlx::Result<()> {
    const KEEP: &str = "INSERT INTO product_names (product_id, name, version) VALUES ($1, $2, $3)
        ON CONFLICT (product_id) DO UPDATE SET name = excluded.name, version = excluded.version
        WHERE product_names.version < excluded.version";
    let keep = sqlx::query(KEEP).bind(product.id).bind(&product.name);
    keep.bind(product.version).execute(&mut **writing).await?;
    Ok(())
}

/// From a row for each product of each article.
fn read(rows: &[AnyRow]) -> sqlx::Result<Vec<Article>> {
    let mut articles: Vec<Article> = Vec::new();
    for row in rows {
        let id = row.try_get("id")?;
        let subject = Subject {
            id: row.try_get("product_id")?,
            name: row.try_get("name")?,
        };
        match articles.last_mut().filter(|last| last.id == id) {
            Some(last) => last.products.push(subject),
            None => articles.push(Article {
                id,
                author_name: row.try_get("author_name")?,
                title: row.try_get("title")?,
                products: vec![subject],
            }),
        }
    }
    Ok(articles)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Platform, Settings};

    fn pen(name: &str, version: i64) -> NamedProduct {
        NamedProduct {
            id: 7,
            name: name.to_owned(),
            version,
        }
    }

    #[tokio::test]
    async fn in_whatever_order_it_is_told_and_told_again_it_shows_the_same() {
        let platform = Platform::connect(Settings::default()).await.unwrap();
        let migrations = chassis::migrations!["0004_orders_articles"];
        let created = ArticleCreated {
            article_id: 1,
            author_id: 3,
            author_name: "ada".to_owned(),
            title: "Blue or black?".to_owned(),
            products: vec![pen("pen", 1)],
        };
        let renamed = |name, version| ProductUpdated {
            product: pen(name, version),
        };
        let expected = Articles {
            count: 1,
            latest: vec![Article {
                id: 1,
                author_name: "ada".to_owned(),
                title: created.title.clone(),
                products: vec![Subject {
                    id: 7,
                    name: "quill".to_owned(),
                }],
            }],
        };
        for order in [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ] {
            let database = platform.database("shop_orders", &migrations).await;
            let view = ArticleView::new(database.unwrap());
            for event in order.into_iter().chain(order) {
                let view = view.clone();
                match event {
                    0 => view.created(created.clone()).await,
                    1 => view.updated(renamed("biro", 2)).await,
                    _ => view.updated(renamed("quill", 3)).await,
                }
                .unwrap();
            }
            assert_eq!(view.latest(5).await.unwrap(), expected, "{order:?}");
        }
    }
}
