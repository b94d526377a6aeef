//! The table of products.

use crate::{
    contracts::{NamedProduct, ProductUpdated, Stock},
    http::Page,
    numbers,
    price::Price,
};
use chassis::Database;
use replybus_sql::{Entry, Outbox};
use serde::{Deserialize, Serialize};
use sqlx::{Row as _, any::AnyRow};

/// A product, as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Product {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) price: Price,
    pub(super) quantity: i64,
}

/// What of a product is to be changed.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) price: Option<Price>,
    pub(super) quantity: Option<i64>,
}

/// The table. Each method is one statement, or one transaction.
#[derive(Clone)]
pub(super) struct ProductTable {
    database: Database,
    outbox: Outbox,
}

impl ProductTable {
    pub(super) fn new(database: Database, outbox: Outbox) -> Self {
        Self { database, outbox }
    }

    /// Adds a product, and gives it its id.
    pub(super) async fn insert(&self, product: &mut Product) -> sqlx::Result<()> {
        const INSERT: &str = "INSERT INTO products (id, name, description, price, quantity)
            VALUES ($1, $2, $3, $4, $5)";
        product.id = numbers::next(&self.database, "products").await?;
        let insert = sqlx::query(INSERT)
            .bind(product.id)
            .bind(&product.name)
            .bind(&product.description)
            .bind(product.price.minor())
            .bind(product.quantity);
        insert.execute(self.database.pool()).await.map(drop)
    }

    pub(super) async fn find(&self, id: i64) -> sqlx::Result<Option<Product>> {
        const FIND: &str =
            "SELECT id, name, description, price, quantity FROM products WHERE id = $1";
        let found = sqlx::query(FIND).bind(id);
        let found = found.fetch_optional(self.database.pool()).await?;
        found.as_ref().map(read).transpose()
    }

    pub(super) async fn list(&self, page: Page) -> sqlx::Result<Vec<Product>> {
        const LIST: &str = "SELECT id, name, description, price, quantity FROM products
            ORDER BY id LIMIT $1 OFFSET $2";
        let rows = sqlx::query(LIST).bind(page.limit).bind(page.skip);
        let rows = rows.fetch_all(self.database.pool()).await?;
        rows.iter().map(read).collect()
    }

    /// Changes what is to be changed, and leaves the rest to whoever changes it meanwhile. With the
    /// product go the articles about it, and the event that tells of it.
    pub(super) async fn update(&self, id: i64, change: Change) -> sqlx::Result<Option<Product>> {
        const UPDATE: &str = "UPDATE products SET name = COALESCE($2, name),
            description = COALESCE($3, description), price = COALESCE($4, price),
            quantity = COALESCE($5, quantity), version = version + 1
            WHERE id = $1 RETURNING id, name, description, price, quantity, version";
        const RENAME: &str = "UPDATE article_products SET product_name = $2
            WHERE product_id = $1 AND product_name <> $2";
        let updating = self.database.transaction(async |mut writing| {
            let update = sqlx::query(UPDATE)
                .bind(id)
                .bind(change.name)
                .bind(change.description)
                .bind(change.price.map(Price::minor))
                .bind(change.quantity);
            let Some(row) = update.fetch_optional(&mut *writing).await? else {
                writing.rollback().await?;
                return Ok(None);
            };
            let product = read(&row)?;
            let rename = sqlx::query(RENAME).bind(id).bind(&product.name);
            rename.execute(&mut *writing).await?;
            let told = Entry::of(&ProductUpdated {
                product: NamedProduct {
                    id,
                    name: product.name.clone(),
                    version: row.try_get("version")?,
                },
            })?;
            // The broker has what is told of one product in the order in which it changed.
            let told = told.with_key(format!("product-{id}"));
            let told = told.map_err(|error| sqlx::Error::Encode(error.into()))?;
            self.outbox.put_entry(&mut *writing, &told).await?;
            writing.commit().await?;
            self.outbox.wake();
            Ok(Some(product))
        });
        updating.await
    }

    /// `false` if it is not there.
    pub(super) async fn delete(&self, id: i64) -> sqlx::Result<bool> {
        let delete = sqlx::query("DELETE FROM products WHERE id = $1").bind(id);
        let deleted = delete.execute(self.database.pool()).await?;
        Ok(deleted.rows_affected() == 1)
    }

    pub(super) async fn stock(&self) -> sqlx::Result<Stock> {
        const COUNT: &str = "SELECT COUNT(*), COUNT(CASE WHEN quantity > 0 THEN 1 END)
            FROM products";
        let counted = sqlx::query_as(COUNT).fetch_one(self.database.pool());
        let (products, available): (i64, i64) = counted.await?;
        Ok(Stock {
            products,
            available,
        })
    }
}

fn read(row: &AnyRow) -> sqlx::Result<Product> {
    Ok(Product {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        description: row.try_get("description")?,
        price: Price::of_minor(row.try_get("price")?),
        quantity: row.try_get("quantity")?,
    })
}
