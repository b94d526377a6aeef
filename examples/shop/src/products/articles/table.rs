//! The tables of articles, and of what they are about.

use crate::{
    contracts::{ArticleCreated, NamedProduct},
    http::Page,
    numbers,
    tokens::User,
};
use chassis::{
    Database,
    database::{moment, now},
};
use jiff::Timestamp;
use replybus_sql::Outbox;
use serde::Serialize;
use sqlx::{AssertSqlSafe, Row as _, any::AnyRow};
use std::collections::BTreeSet;

/// An article, as clients see it.
#[derive(Debug, Serialize)]
pub(super) struct Article {
    id: i64,
    author_id: i64,
    author_name: String,
    title: String,
    content: String,
    products: Vec<Subject>,
    created_at: Timestamp,
}

/// A product that an article is about.
#[derive(Debug, Serialize)]
struct Subject {
    id: i64,
    name: String,
}

/// An article that is to be written.
pub(super) struct Draft {
    pub(super) author: User,
    pub(super) title: String,
    pub(super) content: String,
    /// One or more.
    pub(super) products: BTreeSet<i64>,
}

/// There is no product of this id.
pub(super) struct NoProduct(pub(super) i64);

/// The tables. Each method is one statement or one transaction.
#[derive(Clone)]
pub(in crate::products) struct ArticleTable {
    database: Database,
    outbox: Outbox,
}

impl ArticleTable {
    pub(in crate::products) fn new(database: Database, outbox: Outbox) -> Self {
        Self { database, outbox }
    }

    /// Adds an article, and in the same transaction the event that tells of it.
    pub(super) async fn insert(&self, draft: Draft) -> sqlx::Result<Result<Article, NoProduct>> {
        const INSERT: &str = "INSERT INTO articles
            (id, author_id, author_name, title, content, created_at)
            VALUES ($1, $2, $3, $4, $5, $6)";
        const ABOUT: &str = "INSERT INTO article_products (article_id, product_id, product_name)
            VALUES ($1, $2, $3)";
        // Who renames one of them waits until the article is there to be told.
        let lock = self.database.for_update();
        let product = format!("SELECT name, version FROM products WHERE id = $1{lock}");
        let article_id = numbers::next(&self.database, "articles").await?;
        let inserting = self.database.transaction(async |mut writing| {
            let mut products = Vec::new();
            for id in draft.products {
                let find = sqlx::query_as(AssertSqlSafe(product.as_str())).bind(id);
                let found: Option<(String, i64)> = find.fetch_optional(&mut *writing).await?;
                let Some((name, version)) = found else {
                    writing.rollback().await?;
                    return Ok(Err(NoProduct(id)));
                };
                products.push(NamedProduct { id, name, version });
            }
            let created = ArticleCreated {
                article_id,
                author_id: draft.author.id,
                author_name: draft.author.username,
                title: draft.title,
                products,
            };
            let created_at = now();
            let insert = sqlx::query(INSERT)
                .bind(article_id)
                .bind(created.author_id)
                .bind(&created.author_name)
                .bind(&created.title)
                .bind(&draft.content)
                .bind(created_at);
            insert.execute(&mut *writing).await?;
            for product in &created.products {
                let about = sqlx::query(ABOUT).bind(article_id).bind(product.id);
                about.bind(&product.name).execute(&mut *writing).await?;
            }
            self.outbox.put(&mut *writing, &created).await?;
            writing.commit().await?;
            self.outbox.wake();
            Ok(Ok(shown(created, draft.content, moment(created_at)?)))
        });
        inserting.await
    }

    pub(super) async fn find(&self, id: i64) -> sqlx::Result<Option<Article>> {
        let find = with_products("SELECT * FROM articles WHERE id = $1");
        let rows = sqlx::query(AssertSqlSafe(find)).bind(id);
        let rows = rows.fetch_all(self.database.pool()).await?;
        Ok(read(&rows)?.pop())
    }

    /// The newest first.
    pub(super) async fn list(&self, page: Page) -> sqlx::Result<Vec<Article>> {
        let list = with_products("SELECT * FROM articles ORDER BY id DESC LIMIT $1 OFFSET $2");
        let rows = sqlx::query(AssertSqlSafe(list))
            .bind(page.limit)
            .bind(page.skip);
        read(&rows.fetch_all(self.database.pool()).await?)
    }
}

fn shown(created: ArticleCreated, content: String, created_at: Timestamp) -> Article {
    let subject = |NamedProduct { id, name, .. }| Subject { id, name };
    Article {
        id: created.article_id,
        author_id: created.author_id,
        author_name: created.author_name,
        title: created.title,
        content,
        products: created.products.into_iter().map(subject).collect(),
        created_at,
    }
}

/// A row for each product of each of these articles.
fn with_products(articles: &str) -> String {
    format!(
        "SELECT id, author_id, author_name, title, content, created_at, product_id, product_name
        FROM ({articles}) AS found JOIN article_products ON article_id = id
        ORDER BY id DESC, product_id"
    )
}

fn read(rows: &[AnyRow]) -> sqlx::Result<Vec<Article>> {
    let mut articles: Vec<Article> = Vec::new();
    for row in rows {
        let id = row.try_get("id")?;
        let subject = Subject {
            id: row.try_get("product_id")?,
            name: row.try_get("product_name")?,
        };
        match articles.last_mut().filter(|last| last.id == id) {
            Some(last) => last.products.push(subject),
            None => articles.push(Article {
                id,
                author_id: row.try_get("author_id")?,
                author_name: row.try_get("author_name")?,
                title: row.try_get("title")?,
                content: row.try_get("content")?,
                products: vec![subject],
                created_at: moment(row.try_get("created_at")?)?,
            }),
        }
    }
    Ok(articles)
}
